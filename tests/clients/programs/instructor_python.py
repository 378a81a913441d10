"""Instructor: typed answers, by JSON schema and by a call of a function. Run with the address of a daemon.

The demo model is no good at such questions; that it answers in the right form at all is the server's doing."""

import sys
from typing import Literal

import instructor
from openai import OpenAI
from pydantic import BaseModel, Field


class Person(BaseModel):
    name: str = Field(max_length=20)
    age: int = Field(ge=0, le=150)
    mood: Literal["good", "bad"]


client = OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
question = [{"role": "user", "content": "Tom has 12 apples and is 42 years old."}]
for mode in (instructor.Mode.JSON_SCHEMA, instructor.Mode.TOOLS):
    typed = instructor.from_openai(client, mode=mode)
    for seed in range(3):
        person = typed.chat.completions.create(
            model="swarm-demo", messages=question, response_model=Person, max_retries=0, seed=seed
        )
        assert isinstance(person, Person)
