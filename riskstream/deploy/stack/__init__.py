"""A real Kafka and a real Redis on this machine, from pip packages alone.

One starter for everything local: `make up`, the demo, the tests and the bench. It needs no container engine and no
installed Java, Maven, Kafka or Redis, listens on 127.0.0.1 only and keeps all data below one folder.
"""

from riskstream.deploy.stack.kafka import Broker
from riskstream.deploy.stack.local import LocalStack, temporary_stack
from riskstream.deploy.stack.processes import StackError
from riskstream.deploy.stack.redis import RedisServer

__all__ = ["Broker", "LocalStack", "RedisServer", "StackError", "temporary_stack"]
