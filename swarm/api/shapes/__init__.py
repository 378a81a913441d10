"""What bodies of requests look like: pydantic models, which read them and from which /openapi.json is made."""
