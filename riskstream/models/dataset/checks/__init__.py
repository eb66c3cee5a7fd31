"""Checks of a data set before a model learns from it: is it whole, is it plausible, does it know the future?"""
