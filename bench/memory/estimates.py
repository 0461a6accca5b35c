"""What the estimator says of each model, as rows of a run."""

from collections.abc import Iterator

from bench.harness.record import Row
from bench.memory.models import Config
from bench.memory.published import Published, PublishedKv
from bench.memory.settings import Known
from cluster.core.errors import InvalidField
from cluster.core.memory.cache import Keeping, kv_token_bytes, sequence_bytes
from cluster.core.memory.config import shape_of_config
from cluster.core.memory.parameters import parameters_of_config
from cluster.core.memory.quantisation import quantisation_named, quantisation_of_config
from cluster.core.memory.shares import shares_of

PLAIN = Keeping()
"""At 16 bits, on one rank, whatever runs it."""


def rows(known: Known) -> Iterator[Row]:
    for name, config in known.models.items():
        yield {"kind": "model", "model": name, **_model(config)}
    for pair in known.weights:
        yield {"kind": "weights", **_weights(known.models[pair.model], pair)}
    for kv in known.kv:
        yield {"kind": "kv", **_kv(known.models[kv.model], kv)}


def _model(config: Config) -> Row:
    """A model that cannot be estimated says which field is missing."""
    try:
        parameters, quantisation = parameters_of_config(config), quantisation_of_config(config)
    except InvalidField as fault:
        return {"fault": str(fault)}
    shape = shape_of_config(config)
    return {
        "num_params": parameters.num_params,
        "num_active": parameters.num_active,
        "weights_bytes": shares_of(parameters, quantisation).num_bytes,
        "kv_token_bytes": kv_token_bytes(shape, PLAIN),
        "kv_sequence_bytes": sequence_bytes(shape, PLAIN),
        "doubts": list(dict.fromkeys((*parameters.doubts, *quantisation.doubts))),
    }


def _weights(config: Config, pair: Published) -> Row:
    row: Row = {
        "model": pair.model,
        "quantisation": pair.quantisation,
        "published_bytes": pair.num_bytes,
        "printed_bytes": pair.printed_bytes,
    }
    try:
        return {**row, "miss": pair.miss, "estimated_bytes": _estimated(config, pair.quantisation)}
    except InvalidField as fault:
        return {**row, "miss": str(fault), "estimated_bytes": 0}


def _estimated(config: Config, name: str) -> int:
    quantisation = quantisation_named(name) if name else quantisation_of_config(config)
    return shares_of(parameters_of_config(config), quantisation).num_bytes


def _kv(config: Config, kv: PublishedKv) -> Row:
    row: Row = {"model": kv.model, "token_bytes": kv.token_bytes, "sequence_mib": kv.sequence_mib}
    try:
        shape = shape_of_config(config)
    except InvalidField as fault:
        return {**row, "fault": str(fault), "estimated_token_bytes": 0, "estimated_sequence_bytes": 0}
    token_bytes, each_bytes = kv_token_bytes(shape, PLAIN), sequence_bytes(shape, PLAIN)
    return {**row, "estimated_token_bytes": token_bytes, "estimated_sequence_bytes": each_bytes}
