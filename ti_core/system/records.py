"""What typed records of JSON share: strict groups of fields, texts, numbers, names and digests."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, InstanceOf, StrictFloat, StrictInt

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,80}")
DIGEST = re.compile(r"[0-9a-f]{64}")


class Group(BaseModel):
    """A group of fields: no unknown field, no conversion of types, no infinite number."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


def matching(pattern: re.Pattern[str]) -> AfterValidator:
    """Annotation: the whole text matches ``pattern``."""

    def check(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueError("it has letters or a length that it cannot have")
        return text

    return AfterValidator(check)


def absent(says: str) -> Any:
    """A field that need not be there; ``says`` describes it. Where it is there, null is refused like any other type."""
    return Field(default=None, description=says)


# A text may hold lone surrogates, which pydantic's own type refuses: names of files hold them.
Text = InstanceOf[str]
Name = Annotated[Text, matching(NAME), Field(json_schema_extra={"pattern": f"^{NAME.pattern}$"})]
Digest = Annotated[Text, matching(DIGEST), Field(json_schema_extra={"pattern": f"^{DIGEST.pattern}$"})]
Number = StrictFloat
Whole = StrictInt
