"""Deploys a Serve config the declarative way, as `serve deploy` does, until stdin ends.

python -m tests.actors.deploy ADDRESS CONFIG      CONFIG: JSON of Ray's ServeDeploySchema
"""

import logging
import sys

import ray
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

DEPLOYED = "deployed"


def main() -> None:
    ray.init(sys.argv[1], namespace="hearth", log_to_driver=False, logging_level=logging.ERROR)
    config = ServeDeploySchema.model_validate_json(sys.argv[2])
    client = _get_global_client()
    assert client is not None, "the pool has started Serve"
    client.deploy_apps(config, _blocking=True)
    print(DEPLOYED, flush=True)
    sys.stdin.read()
    for app in config.applications:
        serve.delete(app.name)


if __name__ == "__main__":
    main()
