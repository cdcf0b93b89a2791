"""What of a call's JSON is structure, what is text, and what is only counted. PURE.

Structure is kept only where a leaf *is* a public constant of the APIs: a known key, a known word. A key's name alone
never lets a string through, for anything may stand under ``type`` or ``name`` in somebody's tool arguments.
"""

from __future__ import annotations

import re

from gateway.redact.vocabulary import words

MAX_DEPTH = 80
"""Levels of nesting, those of JSON inside strings included; deeper and the text is withheld."""

KEYS = words(
    "model messages message input output instructions role content name type text user metadata stream"
    " stream_options include_usage include_obfuscation temperature top_p top_k min_p n stop max_tokens"
    " max_completion_tokens max_output_tokens presence_penalty frequency_penalty repetition_penalty seed"
    " logit_bias logprobs top_logprobs response_format json_schema schema strict tools tool tool_choice tool_calls"
    " tool_call_id parallel_tool_calls function functions function_call arguments description parameters"
    " properties required items enum anyOf oneOf allOf $ref $defs definitions additionalProperties default format"
    " title const minimum maximum minLength maxLength minItems maxItems pattern nullable id object created"
    " created_at completed_at choices choice index delta finish_reason stop_reason native_finish_reason usage"
    " system_fingerprint service_tier prompt suffix echo best_of dimensions encoding_format data embedding"
    " embeddings status error code param incomplete_details reason reasoning reasoning_content reasoning_details"
    " effort summary summary_text verbosity store truncation include previous_response_id conversation background"
    " max_tool_calls safety_identifier prompt_cache_key prompt_cache_retention refusal annotations audio voice"
    " modalities prediction web_search_options moderation image_url url detail file file_id file_data filename"
    " image input_text output_text input_image input_file input_audio transcript call_id encrypted_content"
    " signature thinking redacted_thinking source media_type cache_control system stop_sequences stop_sequence"
    " budget_tokens tool_use_id is_error documents document context queries query score results result token bytes"
    " content_filter_results prompt_filter_results filtered severity safe obfuscation provider action actions item"
    " output_index content_index item_id sequence_number billing payer custom grammar syntax definition container"
    " outputs logs prompt_tokens completion_tokens total_tokens input_tokens output_tokens prompt_tokens_details"
    " completion_tokens_details input_tokens_details output_tokens_details cached_tokens cache_write_tokens"
    " audio_tokens image_tokens text_tokens reasoning_tokens accepted_prediction_tokens rejected_prediction_tokens"
    " cache_read_input_tokens cache_creation_input_tokens cache_creation prompt_eval_count eval_count timings cost"
    " cost_details is_byok prompt_n prompt_ms predicted_n predicted_ms cache_n prompt_per_second"
    " predicted_per_second prompt_per_token_ms predicted_per_token_ms"
    " contents parts systemInstruction generationConfig safetySettings functionDeclarations functionCall"
    " functionResponse toolConfig functionCallingConfig mode args response responseMimeType responseSchema"
    " responseJsonSchema responseModalities maxOutputTokens candidateCount stopSequences topP topK thinkingConfig"
    " thinkingBudget includeThoughts thinkingLevel inlineData fileData mimeType fileUri thought thoughtSignature"
    " candidates finishReason finishMessage safetyRatings category probability blocked promptFeedback blockReason"
    " usageMetadata promptTokenCount candidatesTokenCount thoughtsTokenCount totalTokenCount"
    " cachedContentTokenCount toolUsePromptTokenCount promptTokensDetails candidatesTokensDetails"
    " cacheTokensDetails modality tokenCount modelVersion responseId groundingMetadata citationMetadata taskType"
    " outputDimensionality values cachedContent requests threshold executableCode codeExecutionResult videoMetadata"
    " toolUsePromptTokensDetails trafficType serviceTier cached_tokens_details video_tokens thinking_tokens"
    " prompt_cache_hit_tokens prompt_cache_miss_tokens ephemeral_5m_input_tokens ephemeral_1h_input_tokens"
    " server_tool_use web_search_requests inference_geo seconds b64_json"
)
"""Dict keys that are the APIs' own."""

WORDS = words(
    "system user assistant tool developer function model critic discriminator message text input_text output_text"
    " image_url input_image image file input_file input_audio audio refusal reasoning reasoning_text summary_text"
    " thinking redacted_thinking tool_use tool_result tool_call tool_calls function_call function_call_output"
    " custom custom_tool_call custom_tool_call_output item_reference document base64 url object array string"
    " number integer boolean null json_object json_schema grammar lark regex ephemeral auto none any required"
    " enabled disabled adaptive low medium high minimal xhigh concise detailed float date-time date time email uri"
    " uuid stop length content_filter completed incomplete failed cancelled queued in_progress max_output_tokens"
    " max_tokens end_turn stop_sequence pause_turn error chat.completion chat.completion.chunk text_completion"
    " list embedding response default flex priority scale standard batch standard_only file_search web_search"
    " web_search_preview code_interpreter computer_use_preview mcp mcp_call mcp_list_tools image_generation"
    " image_generation_call web_search_call file_search_call code_interpreter_call computer_call"
    " computer_call_output local_shell local_shell_call url_citation file_citation container_file_citation"
    " url_context content approximate invalid_request_error authentication_error permission_error not_found_error"
    " rate_limit_error rate_limit_exceeded api_error overloaded_error server_error insufficient_quota"
    " invalid_api_key model_not_found context_length_exceeded requests tokens upstream_error safe wav mp3 flac"
    " opus pcm16 png jpeg webp true false STOP MAX_TOKENS SAFETY TEXT AUDIO"
    " IMAGE VIDEO DOCUMENT NEGLIGIBLE LOW MEDIUM HIGH BLOCK_NONE BLOCK_ONLY_HIGH HARM_CATEGORY_HARASSMENT"
    " HARM_CATEGORY_HATE_SPEECH HARM_CATEGORY_SEXUALLY_EXPLICIT HARM_CATEGORY_DANGEROUS_CONTENT AUTO ANY NONE"
    " STRING NUMBER INTEGER BOOLEAN ARRAY OBJECT NOT_FOUND INVALID_ARGUMENT RESOURCE_EXHAUSTED PERMISSION_DENIED"
)
"""String values that are the APIs' own constants wherever they stand."""

FINISH_REASONS = words(
    "stop length tool_calls function_call content_filter error completed incomplete failed cancelled in_progress"
    " queued max_output_tokens max_tokens end_turn stop_sequence tool_use refusal pause_turn"
    " model_context_window_exceeded eos abort timeout STOP MAX_TOKENS SAFETY RECITATION OTHER BLOCKLIST"
    " PROHIBITED_CONTENT SPII MALFORMED_FUNCTION_CALL LANGUAGE IMAGE_SAFETY"
)
SERVICE_TIERS = words("auto default flex priority scale standard standard_only batch on_demand performance fast")
METHODS = words("GET POST PUT PATCH DELETE HEAD OPTIONS")
CAPTURES = words("full truncated withheld none")
SOURCES = words("human judge rule outcome")
ORIGINS = words("product judge")

COUNTED = words(
    "logprobs top_logprobs token_logprobs text_offset tokens token_ids prompt_token_ids output_token_ids"
    " completion_token_ids input_ids bytes embedding embeddings logit_bias encrypted_content thought_signature"
    " signature redacted_thinking reasoning_encrypted obfuscation thoughtSignature"
)
"""Keys whose lists, dicts and long strings are counted and never read: what they hold decodes to text."""
COUNTED_STRING = 48
"""Characters from which a string under such a key is opaque rather than a word."""
NUMBERS_COUNTED = 8
"""Numbers in a row, without anything else, that make a vector or token ids."""
TOKEN_LISTS = frozenset({"request.input", "request.prompt", "request.input[]", "request.prompt[]"})
"""Where even a short list of numbers is token ids."""

MEDIA = words("data file_data b64_json partial_image_b64 image audio image_url url video input_audio bytes")
"""Keys under which base64 without a data: prefix is expected."""
MEDIA_LENGTH = 128
OPAQUE_LENGTH = 512
"""Characters of unbroken base64 that are media wherever they stand."""

IDENTITIES = frozenset(
    {
        *(f"request.{key}" for key in ("user", "safety_identifier", "prompt_cache_key", "session_id")),
        *(f"response.{key}" for key in ("user", "safety_identifier", "prompt_cache_key", "session_id")),
        *(
            f"{side}.metadata.{key}"
            for side in ("request", "response")
            for key in (
                *("user", "user_id", "session", "session_id", "trace", "trace_id", "end_user", "customer_id"),
                *("trace_user_id", "conversation_id", "thread_id", "_user"),
            )
        ),
    }
)
"""Where a plain string or number says who called; kept as a pseudonym."""
REFERENCES = frozenset(
    {
        *("response.id", "response.responseId", "request.previous_response_id", "response.previous_response_id"),
        *("request.conversation", "response.conversation", "request.conversation.id", "response.conversation.id"),
    }
)
"""Where a provider's id stands by which a call or a conversation is found again."""

_SIDE = r"(?:request|response)"
_PARAMETERS = re.compile(
    rf"{_SIDE}\.(?:temperature|top_p|top_k|min_p|n|max_tokens|max_completion_tokens|max_output_tokens|presence_penalty"
    r"|frequency_penalty|repetition_penalty|top_logprobs|logprobs|dimensions|best_of|max_tool_calls)"
    r"|request\.(?:thinking|reasoning)\.(?:budget_tokens|max_tokens)"
    rf"|{_SIDE}\.(?:usage|usageMetadata|timings)(?:\.\w+(?:\[\])?){{1,3}}"
    rf"|{_SIDE}\.(?:choices\[\]|data\[\]|output\[\]|output\[\]\.content\[\])\.(?:index|score)"
)
_TIMES = frozenset({"response.created", "response.created_at", "response.completed_at"})


def keeps_number(path: str, value: float) -> bool:
    """Whether a number at a path is a parameter, a count or the answer's time rather than somebody's number."""
    if path in _TIMES:
        return 1_000_000_000 <= value < 10_000_000_000
    return abs(value) < 1_000_000_000 and _PARAMETERS.fullmatch(path) is not None


HINTS = {
    **dict.fromkeys(
        words(
            "first_name last_name middle_name full_name given_name family_name surname maiden_name customer_name"
            " client_name patient_name contact_name employee_name user_name person_name recipient_name sender_name"
            " cardholder_name account_holder guest_name passenger_name author_name owner_name student_name"
            " firstname lastname fullname"
        ),
        "PERSON",
    ),
    **dict.fromkeys(
        words("phone phone_number mobile mobile_number telephone tel fax cell whatsapp msisdn"), "PHONE_NUMBER"
    ),
    **dict.fromkeys(words("email email_address e_mail mail"), "EMAIL_ADDRESS"),
    **dict.fromkeys(
        words(
            "password passwd pwd passphrase passcode pin secret client_secret api_key apikey access_token"
            " refresh_token auth_token id_token session_token bearer_token secret_key private_key access_key"
            " authorization"
        ),
        "PASSWORD",
    ),
    **dict.fromkeys(
        words(
            "street street_address address address_line1 address_line2 address_line_1 home_address"
            " billing_address shipping_address mailing_address postal_code postcode zip zip_code zipcode"
        ),
        "STREET_ADDRESS",
    ),
    **dict.fromkeys(words("dob date_of_birth birth_date birthdate birthday"), "DATE_OF_BIRTH"),
    **dict.fromkeys(words("ssn social_security_number"), "US_SSN"),
    **dict.fromkeys(words("nid nid_number national_id national_id_number voter_id"), "BD_NID"),
    **dict.fromkeys(
        words(
            "passport passport_number passport_no license_number licence_number driver_license tax_id"
            " account_number account_no bank_account routing_number iban"
        ),
        "ID_NUMBER",
    ),
    **dict.fromkeys(words("card_number credit_card credit_card_number card_no"), "CREDIT_CARD"),
    **dict.fromkeys(words("cvv cvc cvv2 security_code"), "CVV"),
}
"""Keys in somebody's JSON that say what stands under them."""
HINT_LENGTH = 200
"""Characters up to which such a value is one; a longer text is read like any other."""

_SEPARATORS = re.compile(r"[\s-]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def hint(key: str) -> str | None:
    """The entity a key names, in snake, kebab or camel case."""
    return HINTS.get(_SEPARATORS.sub("_", _CAMEL.sub("_", key[:64])).lower()) if key else None


OPERATOR_WORD = re.compile(r"[\w.:/-]{1,64}")
"""What an operator may name things: team, key, tags, prompt id."""
MODEL_NAME = re.compile(r"[\w.:/@+=,-]{1,128}")
"""What models are called: a client's word."""
OUR_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""A UUID, as the gateway gives to calls and notes."""
