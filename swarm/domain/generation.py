"""A request for text, and the pieces that answer it."""

from __future__ import annotations

from dataclasses import dataclass, field

from swarm.domain.answers import AnswerForm
from swarm.domain.federation import FederationResult
from swarm.domain.ids import FinishReason, NodeId, RequestId, Role, RouteName, StrategyName
from swarm.domain.tokens import TokenLogprob, TokenPrompt
from swarm.domain.tools import MadeToolCall, ResponseFormat, TemplateOptions, ToolCallDelta, ToolChoice, ToolSpec


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Role
    content: str
    tool_calls: tuple[MadeToolCall, ...] = ()
    """Of an assistant's message."""
    tool_call_id: str = ""
    """Of a tool's message: the call that it answers."""
    name: str = ""
    """Who speaks, where several have the same role; of a tool's message, the function."""


Prompt = tuple[ChatMessage, ...] | str | TokenPrompt
"""A conversation for the model's chat template, or raw text to continue, as text or as token ids."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen. `max_tokens` None means: up to the end of the model's context; 0 reads the prompt only."""

    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    """Generation ends before the first of these; the stop text itself is not part of the answer."""
    seed: int | None = None
    """The same seed, request and build give the same text."""
    top_k: int = 0
    """Only so many most likely tokens are drawn from; 0: all."""
    min_p: float = 0.0
    """Only tokens at least this fraction as likely as the most likely one are drawn."""
    presence_penalty: float = 0.0
    """Taken off the logit of each token that the answer has."""
    frequency_penalty: float = 0.0
    """Taken off for each time that the answer has the token."""
    repetition_penalty: float = 1.0
    """Divides the positive and multiplies the negative logits of tokens that prompt or answer have (Keskar et al.
    2019)."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Token ids, and what is added to their logits."""
    logprobs: int | None = None
    """How many alternatives are told with each token's log-probability, 0 to 20; None tells nothing."""
    min_tokens: int = 0
    """Before so many the answer does not end by itself."""
    ignore_eos: bool = False
    """The model's end tokens are tokens like others."""
    stop_token_ids: tuple[int, ...] = ()
    """The answer ends with any of these, too."""


@dataclass(frozen=True, slots=True)
class Resume:
    """An answer that another node began: the same request, model and seed go on exactly where it broke off."""

    tokens: tuple[int, ...]
    """Ids of the completion's tokens whose text was sent already."""
    model_digest: str
    """Of the model that made them; another one's ids mean something else."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One answer to one prompt: a conversation for the model's chat template, or raw text to continue."""

    id: RequestId
    prompt: Prompt
    sampling: Sampling = field(default_factory=Sampling)
    model: str | None = None
    """None is whatever the node serves."""
    strategy: StrategyName | None = None
    """Asks for a vote by this strategy; None leaves it to the node's settings."""
    form: AnswerForm = field(default_factory=AnswerForm)
    """What the answers are to look like; it tells a vote which of them say the same."""
    one_of_several: bool = False
    """The client wants several answers to the same prompt, and wants them to differ."""
    alone: bool = False
    """No fan-out: this node answers by itself, or by the chain that it is part of. Set on every request that a peer
    forwards, so that no request travels in circles."""
    client: str = ""
    """Who asks, as far as this node can tell them apart: those who wait take turns by it. Never told to other nodes."""
    resume: Resume | None = None
    """Set where an answer goes on: the pieces begin behind these tokens, and the usage counts them."""
    response_format: ResponseFormat = field(default_factory=ResponseFormat)
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    parallel_tool_calls: bool = True
    """False: at most one call an answer."""
    echo: bool = False
    """The first piece is the prompt's text, with its log-probabilities where they are asked for; it counts no token."""
    template: TemplateOptions = field(default_factory=TemplateOptions)


@dataclass(frozen=True, slots=True)
class TextScore:
    """How likely a model finds a given text: teacher-forced, not sampled."""

    mean_logprob: float
    """Natural logarithm, a token; at most 0."""
    tokens: int
    """Of the text, as the scoring model cuts it; of a long text only its first ones."""


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who answered, by what route, and, where there was a vote, how it went."""

    route: RouteName
    nodes: tuple[NodeId, ...]
    """Those that computed the answer, in order of the route; for a vote, the winner."""
    model: str
    model_digest: str
    decision: FederationResult | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of an answer. Exactly one delta, the last, has `finish_reason`, `usage` and `provenance`."""

    text: str = ""
    tokens: int = 0
    """Completion tokens that this piece stands for."""
    logprob_sum: float = 0.0
    """Sum of those tokens' natural-log probabilities at temperature 1."""
    token_ids: tuple[int, ...] = ()
    """Their ids, where they are known; with those of all pieces before, an answer can go on elsewhere."""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    provenance: Provenance | None = None
    token_logprobs: tuple[TokenLogprob, ...] = ()
    """Of the piece's tokens, where the request asks for them; of a prompt's, in the piece that echoes it."""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    """Pieces of calls; their text is in no `text`."""
    reasoning: str = ""
    """What the model thinks before it answers; in no `text`."""
    progress: str | None = None
    """What is going on while there is no text, in words for people; only in a delta that has nothing else."""
