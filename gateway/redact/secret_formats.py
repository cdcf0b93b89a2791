"""Credentials of known make: how each issuer writes them. PURE data.

The forms are the issuers' own, from their documentation and from what their consoles give out. Lengths are the least
that is issued or a little less, so that a key with its end cut off is still one; what follows of the same alphabet
belongs to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.redact.secret_value import is_aws_secret, is_mixed, is_real

_EDGE = r"(?<![A-Za-z0-9])"
_END = r"(?![A-Za-z0-9])"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_HASH = "[0-9a-f]{12}[0-9a-f]{20}"  # in two, so that the prefilter may look for the first
_HEX = "[0-9a-fA-F]"


class Format(NamedTuple):
    """One make of credential. ``group`` of ``pattern`` is what is secret; ``check`` has the last word on it."""

    name: str
    pattern: str
    entity: str = "API_KEY"
    group: int = 0
    check: Callable[[str], bool] = is_real


def _key(name: str, pattern: str, entity: str = "API_KEY") -> Format:
    """Of a prefix that tells it."""
    return Format(name, _EDGE + pattern, entity)


def _wordy(name: str, pattern: str) -> Format:
    """Of a prefix and an alphabet in which names are written too."""
    return Format(name, _EDGE + pattern, check=is_mixed)


def _part(name: str, before: str, pattern: str) -> Format:
    """What is secret comes after something that is not."""
    return Format(name, f"{before}({pattern})", group=1)


def _cued(name: str, cue: str, pattern: str) -> Format:
    """Without a form of its own: told by its issuer's name at most 40 characters or so before.

    It follows the name itself (``COHERE: …``), or a word for a key that does (``cohere api key is …``): a commit or a
    checksum that is merely spoken of near the name is none.
    """
    named = r"(?:(?s:.{0,16}?)(?i:key|token|secret|login|client|auth|password|credential)[\w ]{0,16}?)?[\W_]{1,8}?"
    return Format(name, rf"(?i:{cue}){named}{_EDGE}({pattern}){_END}", group=1, check=is_mixed)


_MODELS = (
    _key("openai-key", r"sk-(?:proj|svcacct|admin|service)-[A-Za-z0-9_-]{16,}+"),
    _key("openai-legacy-key", r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20,}+"),
    _key("anthropic-key", r"sk-ant-(?:api|admin|oat|ort|sid)\d{2}-[A-Za-z0-9_-]{16,}+"),
    _key("openrouter-key", r"sk-or-(?:v\d-)?[0-9a-f]{32,}+"),
    _key("deepseek-key", r"sk-[0-9a-f]{32,}+"),
    _key("langfuse-key", rf"[sp]k-lf-{_UUID}"),
    _wordy("sk-key", r"[sp]k-[A-Za-z0-9_-]{16,}+"),  # whoever else writes as OpenAI does
    _key("elevenlabs-key", r"sk_[0-9a-f]{40,}+"),
    _key("huggingface-token", r"(?:hf|api_org)_[A-Za-z0-9]{20,}+"),
    _key("replicate-token", r"r8_[A-Za-z0-9]{20,}+"),
    _key("groq-key", r"gsk_[A-Za-z0-9]{20,}+"),
    _wordy("xai-key", r"xai-(?:token-)?[A-Za-z0-9]{24,}+"),
    _wordy("perplexity-key", r"pplx-[A-Za-z0-9]{24,}+"),
    _wordy("fireworks-key", r"fw_[A-Za-z0-9]{20,}+"),
    _key("nvidia-key", r"nvapi-[A-Za-z0-9_-]{24,}+"),
    _wordy("cerebras-key", r"csk-[A-Za-z0-9]{24,}+"),
    _key("together-key", r"tgp_v1_[A-Za-z0-9_-]{24,}+"),
    _wordy("tavily-key", r"tvly-[A-Za-z0-9_-]{24,}+"),
    _wordy("voyage-key", r"(?:pa|al|voy)-[A-Za-z0-9_-]{40,}+"),
    _wordy("jina-key", r"jina_[A-Za-z0-9_-]{24,}+"),
    _key("firecrawl-key", r"fc-[0-9a-f]{32}(?![0-9a-z])"),
    _key("e2b-key", r"e2b_[0-9a-f]{32,}+"),
    _key("runpod-key", r"rpa_[A-Z0-9]{32,}+[a-z0-9]*+"),
    _key("modal-token", rf"a[ks]-[A-Za-z0-9]{{22}}{_END}")._replace(check=is_mixed),
    _wordy("pinecone-key", r"pcsk_[A-Za-z0-9_]{30,}+"),
    _key("langsmith-key", r"(?:lsv2_(?:pt|sk)_|ls__)[0-9a-f]{32}(?:_[0-9a-f]{6,16})?"),
    _key("databricks-token", rf"dapi[0-9a-f]{{32}}(?:-\d{{1,2}})?{_END}"),
    _cued("cohere-key", r"cohere|\bco_api", r"[A-Za-z0-9]{40}"),
    _cued("mistral-key", "mistral", r"[A-Za-z0-9]{32}"),
    _cued("wandb-key", r"wandb|weights\s?(?:&|and)\s?biases", r"[0-9a-f]{40}"),
    _cued("deepgram-key", "deepgram", r"[0-9a-f]{40}"),
    _cued("assemblyai-key", r"assembly_?ai", r"[0-9a-f]{32}"),
)

_CLOUDS = (
    _key("google-api-key", r"AIza[0-9A-Za-z_-]{30,}+"),
    _key("google-oauth-secret", r"GOCSPX-[0-9A-Za-z_-]{20,}+"),
    _key("google-access-token", r"ya29\.[0-9A-Za-z_-]{20,}+(?:\.[0-9A-Za-z_-]{4,}+){0,4}"),
    _key("google-refresh-token", r"1//0[0-9A-Za-z_-]{30,}+"),
    _part("gcp-service-account-key-id", r"private_key_id[\"']\s{0,4}:\s{0,4}[\"']", r"[0-9a-f]{40}"),
    _key("firebase-server-key", r"AAAA[A-Za-z0-9_-]{7}:APA91b[A-Za-z0-9_-]{100,}+"),
    _key(
        "aws-access-key-id",
        rf"(?:AKIA|ASIA|AROA|AIDA|AIPA|ABIA|ACCA|AGPA|ANPA|ANVA|APKA|ASCA)[A-Z0-9]{{16}}{_END}",
        "AWS_ACCESS_KEY",
    ),
    Format(
        "aws-secret-key",
        r"(?i:aws|secret)[^\n]{0,40}?(?<![A-Za-z0-9/+])([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])",
        "AWS_SECRET_KEY",
        1,
        is_aws_secret,
    ),
    _key("aws-session-token", r"(?<![+/])(?:FwoG|FQoG|IQoJ)[A-Za-z0-9+/]{90,}+={0,2}"),
    _part(
        "aws-named-session-token", r"(?i:session_?|security[_-]?)(?i:token)[\W_]{1,6}?", r"[A-Za-z0-9+/]{90,}+={0,2}"
    ),
    _key("aws-bedrock-key", r"(?<![+/])(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/]{80,}+={0,2}"),
    _key(
        "azure-storage-key",
        r"[A-Za-z0-9+/]{76}(?:APIM|ACDb|\+(?:ABa|AMC|ASt|ACR|AEh|ARm|ASb|AIo))[A-Za-z0-9+/]{6}={0,2}",
    ),
    _part("azure-account-key", r"(?i:account|access)_?(?i:key)[\"']?\s?[=:]\s?[\"']?", r"[A-Za-z0-9+/]{43,86}={1,2}"),
    _part("azure-sas-signature", r"(?<![A-Za-z0-9])sig=", r"[A-Za-z0-9+/%_-]{40,}+={0,2}"),
    _key("azure-client-secret", r"[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{30,35}"),
    _key("azure-devops-token", rf"[A-Za-z0-9]{{76}}AZDO[A-Za-z0-9]{{4}}{_END}"),
    _key("azure-service-key", rf"[A-Za-z0-9]{{52}}JQQJ9[9DH][A-Za-z0-9]{{26}}{_END}"),
    _cued("azure-openai-key", r"azure|cognitive|ocp-apim-subscription|openai", rf"{_HEX}{{32}}"),
    _cued("azure-devops-legacy-token", r"azure[ _-]?devops|\bado\b|vsts|dev\.azure|visualstudio", r"[a-z2-7]{52}"),
    _wordy("alibaba-access-key-id", rf"LTAI[A-Za-z0-9]{{12,24}}{_END}"),
    _wordy("tencent-secret-id", rf"AKID[A-Za-z0-9]{{32}}{_END}"),
    _key("yandex-key", rf"AQVN[A-Za-z0-9_-]{{35,38}}{_END}"),
    _key("digitalocean-token", r"do[opr]_v1_[a-f0-9]{40,}+"),
    _key("heroku-key", r"HRKU-[A-Za-z0-9_-]{30,}+"),
    _cued("heroku-legacy-key", "heroku", _UUID),
    _key("fly-token", r"fo1_[A-Za-z0-9_-]{32,}+"),
    _key("fly-macaroon", r"fm[12][ar]?_[A-Za-z0-9+/_-]{60,}+={0,2}"),
    _wordy("vercel-token", r"vc[acikpr]_[A-Za-z0-9]{20,}+"),
    _cued("vercel-legacy-token", "vercel", r"[A-Za-z0-9]{24}"),
    _wordy("netlify-token", r"nf[bcopu]_[A-Za-z0-9]{30,}+"),
    _key("cloudflare-origin-key", r"v1\.0-[0-9a-f]{24}-[0-9a-f]{100,}+"),
    _cued("cloudflare-token", r"cloudflare|\bcf[ _-]api", r"[A-Za-z0-9_-]{40}|[0-9a-f]{37}"),
    _key("terraform-token", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{40,}+"),
    _key("vault-token", r"hv[sbr]\.[A-Za-z0-9_-]{20,}+"),
    _cued("vault-legacy-token", "vault", r"s\.[A-Za-z0-9]{24}"),
    _key("pulumi-token", r"pul-[0-9a-f]{40}(?![0-9a-z])"),
    _key("doppler-token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,}+"),
    _key("1password-service-token", r"ops_eyJ[A-Za-z0-9+/_-]{60,}+={0,2}"),
    _key("1password-secret-key", r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}"),
    _key("openshift-token", rf"sha256~[A-Za-z0-9_-]{{43}}{_END}"),
    _key("supabase-token", r"sb(?:p_(?:v0_)?|_secret_)[A-Za-z0-9_-]{20,}+")._replace(check=is_mixed),
    _key("planetscale-token", r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9=._-]{30,}+"),
    _wordy("neon-key", r"napi_[a-z0-9]{40,}+"),
    _wordy("render-key", r"rnd_[A-Za-z0-9]{24,}+"),
    _key("tailscale-key", r"tskey-[a-z]{2,12}-[A-Za-z0-9]{6,}+(?:-[A-Za-z0-9]{8,}+)?")._replace(check=is_mixed),
)

_CODE = (
    _key("github-token", r"gh[pousr]_[A-Za-z0-9_]{20,}+")._replace(check=is_mixed),
    _key("github-pat", r"github_pat_[A-Za-z0-9_]{20,}+")._replace(check=is_mixed),
    _key(
        "gitlab-token",
        r"gl(?:pat|ptt|dt|rtr?|cbt|ft|soat|imt|agent|oas|ffct|wt)-[A-Za-z0-9_=-]{16,}+(?:\.[A-Za-z0-9_-]{2,64}+){0,3}",
    ),
    _key("gitlab-runner-token", r"GR1348941[A-Za-z0-9_-]{20,}+"),
    _key("bitbucket-app-password", r"ATBB[A-Za-z0-9]{24,}+"),
    _key("bitbucket-access-token", r"ATCTT3[A-Za-z0-9+/=_-]{40,}+"),
    _key("atlassian-token", r"ATATT3[A-Za-z0-9+/=_-]{40,}+"),
    _cued("atlassian-legacy-token", "atlassian|jira|confluence", r"[A-Za-z0-9]{24}"),
    _key("npm-token", r"npm_[A-Za-z0-9]{30,}+"),
    _part("npmrc-token", r":_(?:authToken|auth|password)\s?=\s?\"?", r"[A-Za-z0-9+/_.-]{8,}+={0,2}"),
    _key("pypi-token", r"pypi-[A-Za-z0-9_-]{50,}+"),
    _key("rubygems-key", r"rubygems_[0-9a-f]{40,}+"),
    _wordy("crates-token", rf"cio[A-Za-z0-9]{{32}}{_END}"),
    _key("docker-token", r"dckr_[po]at_[A-Za-z0-9_-]{20,}+"),
    _wordy("nuget-key", rf"oy2[a-z0-9]{{43}}{_END}"),
    _key("clojars-token", r"CLOJARS_[a-z0-9]{50,}+"),
    _key("artifactory-key", rf"AKCp[A-Za-z0-9]{{69}}{_END}"),
    _key("artifactory-token", rf"cmVmd[A-Za-z0-9]{{59}}{_END}"),
    _key("packagist-token", r"packagist_[a-z]{3}_[0-9a-f]{60,}+"),
    _key("buildkite-token", r"bk(?:ua|pt|ct)_[0-9a-f]{40,}+"),
    _key("circleci-token", r"CCI(?:PAT|PRJ)_[A-Za-z0-9]{16,}+_[0-9a-f]{40,}+"),
    _key("sonarqube-token", r"sq[apu]_[0-9a-f]{40}(?![0-9a-z])"),
    _key("sourcegraph-token", r"sg[pd]_(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40}(?![0-9a-z])"),
    _wordy("prefect-key", r"pn[bu]_[A-Za-z0-9]{30,}+"),
    _key("postman-key", r"PMAK-[0-9a-f]{24}-[0-9a-f]{30,}+"),
    _key("readme-key", r"rdme_[a-z0-9]{60,}+"),
)

_MESSAGES = (
    _wordy("slack-token", r"xox[abcdeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{8,}+"),
    _wordy("slack-app-token", r"xapp-[A-Za-z0-9-]{8,}+"),
    _part("slack-webhook", r"hooks\.slack\.com/(?:services|workflows|triggers)/", r"[A-Za-z0-9/_-]{10,}+"),
    Format(
        "discord-token",
        _EDGE + r"[MNO][DTjz][A-Za-z0-9_-]{21,26}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}",
        check=is_mixed,
    ),
    _part("discord-webhook", r"discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/", r"\d{16,20}/[A-Za-z0-9_-]{40,}+"),
    _key("telegram-token", r"\d{8,10}:AA[A-Za-z0-9_-]{30,}+"),
    _key("twilio-key", rf"(?:AC|SK)[0-9a-f]{{32}}{_END}"),
    _cued("twilio-auth-token", "twilio", r"[0-9a-f]{32}"),
    _key("sendgrid-key", r"SG\.[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+"),
    _key("mailgun-key", rf"{_HASH}-[0-9a-f]{{8}}-[0-9a-f]{{8}}{_END}"),
    _key("mailgun-legacy-key", rf"(?:pub)?key-[0-9a-f]{{32}}{_END}"),
    _key("mailchimp-key", rf"{_HASH}-us\d{{1,2}}{_END}"),
    _key("mandrill-key", rf"md-[A-Za-z0-9_-]{{22}}{_END}")._replace(check=is_mixed),
    _cued("postmark-token", "postmark", _UUID),
    _key("brevo-key", r"x(?:key|smtp)sib-[0-9a-f]{60,}+-[A-Za-z0-9]{12,}+"),
    _key("resend-key", rf"re_[A-Za-z0-9]{{8}}_[A-Za-z0-9]{{20,}}{_END}")._replace(check=is_mixed),
    _key("mailersend-key", r"mlsn\.[0-9a-f]{60,}+"),
)

_MONEY = (
    _key("stripe-key", r"[spr]k_(?:org_)?(?:live|test)_[A-Za-z0-9]{10,}+")._replace(check=is_mixed),
    _key("stripe-webhook-secret", r"whsec_[A-Za-z0-9+/]{16,}+={0,2}")._replace(check=is_mixed),
    _key("square-token", r"(?<![+/])EAAA[A-Za-z0-9_-]{55,}+"),
    _key("square-secret", r"sq0[a-z]{3}-[A-Za-z0-9_-]{20,}+"),
    _key("braintree-token", r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}"),
    _cued("paypal-secret", "paypal", r"E[A-Za-z0-9_-]{79}"),
    _key("plaid-token", rf"access-(?:sandbox|development|production)-{_UUID}"),
    _cued("plaid-secret", "plaid", r"[0-9a-f]{30}"),
    _key("razorpay-key", r"rzp_(?:live|test)_[A-Za-z0-9]{14,}+"),
    _key("flutterwave-key", r"FLW(?:SEC|PUB)K(?:_TEST)?-[A-Za-z0-9-]{20,}+"),
    _wordy("adyen-key", r"(?<![+/])AQE[A-Za-z0-9+/=]{45,}+(?:-[A-Za-z0-9+/=]{16,}+)?(?:-[^\s\"'`<>]{8,64}+)?"),
    _key("shopify-token", r"shp(?:at|ca|pa|ss|tka|ua)_[A-Fa-f0-9]{24,}+"),
    _key("easypost-key", r"EZ[AT]K[A-Za-z0-9]{50,}+"),
    _key("duffel-token", r"duffel_(?:test|live)_[A-Za-z0-9_=-]{40,}+"),
    _key("shippo-token", r"shippo_(?:live|test)_[0-9a-f]{40}(?![0-9a-z])"),
)

_SERVICES = (
    _key("grafana-cloud-token", r"glc_[A-Za-z0-9+/]{30,}+={0,2}"),
    _key("grafana-service-token", r"glsa_[A-Za-z0-9]{30,}+(?:_[0-9a-fA-F]{8})?"),
    _key("grafana-legacy-key", r"(?<![+/])eyJrIjoi[A-Za-z0-9+/]{50,}+={0,2}"),
    _cued("datadog-key", r"datadog|\bdd[ _-](?:api|app)", r"[0-9a-f]{32}|[0-9a-f]{40}"),
    _key("newrelic-key", r"NR(?:AK|II|IQ|RA|AA)-[A-Za-z0-9_-]{24,}+|(?<![A-Za-z0-9])NRJS-[0-9a-f]{19}"),
    _key("newrelic-license", rf"[0-9a-z]{{6}}[0-9a-f]{{30}}NRAL{_END}"),
    _key("sentry-token", r"sntry[asu]_[A-Za-z0-9+/=_-]{40,}+"),
    _part("sentry-dsn", "://", r"[0-9a-f]{32}(?::[0-9a-f]{32})?(?=@[\w.-]{0,100}?sentry)"),
    _cued("pagerduty-key", r"pager_?duty|\bpd[ _-](?:api|token)", r"[A-Za-z0-9_+-]{20}|[0-9a-f]{32}"),
    _key("dynatrace-token", r"dt0[a-z]\d{2}\.[A-Z0-9]{24}(?:\.[A-Z0-9]{60,}+)?"),
    _key("honeycomb-key", r"hc[abxs][lmic]k_[a-z0-9]{50,}+"),
    _key("launchdarkly-key", rf"(?:sdk|api|mob)-{_UUID}"),
    _wordy("posthog-key", r"ph[cxs]_[A-Za-z0-9]{30,}+"),
    _key("linear-key", r"lin_(?:api|oauth|wh)_[A-Za-z0-9]{24,}+"),
    _wordy("notion-token", rf"(?:ntn_[A-Za-z0-9]{{40,}}+|secret_[A-Za-z0-9]{{43}}{_END})"),
    _key("airtable-token", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{60,}+"),
    _cued("airtable-legacy-key", "airtable", r"key[A-Za-z0-9]{14}"),
    _wordy("figma-token", r"fig[dou]r?_[A-Za-z0-9_-]{36,}+"),
    _key("asana-token", r"\d/\d{15,17}(?:/\d{15,17})?:[0-9a-f]{32}(?![0-9a-z])"),
    _cued("algolia-key", "algolia", r"[0-9a-f]{32}"),
    _key("contentful-token", r"CFPAT-[A-Za-z0-9_-]{40,}+"),
    _key("typeform-token", r"tfp_[A-Za-z0-9_-]{40,}+(?:\.[A-Za-z0-9_=-]{4,})?")._replace(check=is_mixed),
    _key("hubspot-token", rf"pat-[a-z]{{2}}\d-{_UUID}"),
    _key("dropbox-token", r"sl\.(?:u\.)?[A-Za-z0-9_=-]{120,}+"),
    _key("mapbox-token", r"[ps]k\.eyJ[A-Za-z0-9_-]{30,}+\.[A-Za-z0-9_-]{16,}+"),
    _key("facebook-token", r"(?<![+/])EAA[A-Z][A-Za-z0-9]{90,}+"),
    _key("twitter-bearer", r"(?<![+/])AAAAAAAAAAAAAAAAAAAAA[A-Za-z0-9%+/=]{60,}+")._replace(check=is_mixed),
    _cued("okta-token", "okta", r"00[A-Za-z0-9_-]{40}"),
    _cued("snyk-token", "snyk", _UUID),
    _key("age-key", r"AGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]{20,}+"),
    _key(
        "private-key-body",
        # the first bytes in base64 of keys of OpenSSH, PKCS #1 and #8 for RSA, SEC 1, PKCS #8 for EC and Ed25519
        r"(?:b3BlbnNzaC1rZXktdjE|MII[A-Za-z0-9+/]{3}IBAAK[BC]|MII[A-Za-z0-9+/]{3}IBADANBgkqhkiG9w0BAQEFAASC|MHcCAQEE"
        r"|MIGHAgEAMBMGByqGSM49|MC4CAQAwBQYDK2V)[A-Za-z0-9+/]{8,}+={0,2}+"
        r"(?:(?:\r?\n|\\n)[ \t]{0,16}[A-Za-z0-9+/]{40,}+={0,2}+)*+"
        r"(?:(?:\r?\n|\\n)[ \t]{0,16}[A-Za-z0-9+/]{1,39}+={0,2}(?=\s|\\n|\Z))?",
        "PRIVATE_KEY",
    ),
    _key("jwt", r"eyJ[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){1,4}", "JWT"),
)

FORMATS: tuple[Format, ...] = (*_MODELS, *_CLOUDS, *_CODE, *_MESSAGES, *_MONEY, *_SERVICES)
"""Every credential of known make."""
