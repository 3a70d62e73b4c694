"""What every part of a scenario file is: a model whose keys are its fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the file: its keys are fields, others are errors, and nothing changes it afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
