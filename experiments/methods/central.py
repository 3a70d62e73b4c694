"""The draft's server-central mode (4.2.2): the server asks the mobile node, and carries the user plane."""

from __future__ import annotations

from dmmlab.experiments.methods.base import CN, MN, SERVER, Draft, Look, Method, Signalling
from dmmlab.experiments.methods.combined import closed_form

METHOD = Method(
    name="central",
    words="by the server, user plane and all (draft 4.2.2)",
    look=Look("#D55E00", "D", ":", "server central"),
    side="dmmlab.nodes.methods.registered:Registered",
    parameters={"mode": "CENTRAL"},
    closed_form=closed_form,
    needs=(SERVER,),
    asks=((CN, SERVER), (SERVER, MN)),
    carries=((CN, SERVER), (SERVER, MN)),
    signalling=Signalling(updates=("registration",), lookups="registration", messages=(7, 7)),
    draft=Draft("4.2.2", figure=4, registers=True),
)
