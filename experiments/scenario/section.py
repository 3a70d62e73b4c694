"""What every part of a scenario file is: a model whose keys are its fields."""

from __future__ import annotations

import os

from pydantic import BaseModel, ConfigDict

# Before there is any model: or pydantic asks every installed package whether it has something to add to one.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


class Section(BaseModel):
    """A part of the file: its keys are fields, others are errors, and nothing changes it afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
