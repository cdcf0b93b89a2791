"""What the recognisers of secrets, numbers and names find, and what they leave."""

from __future__ import annotations

import pytest

from gateway.redact.bangla import bangla_recognisers
from gateway.redact.names import name_recognisers
from gateway.redact.normalise import normalise
from gateway.redact.numbers import luhn, mod97
from gateway.redact.patterns import pattern_recognisers
from gateway.redact.scan import Scanner
from gateway.redact.secrets import secret_recognisers

SCANNER = Scanner((*secret_recognisers(), *pattern_recognisers(), *name_recognisers(), *bangla_recognisers()))
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----"

FOUND = [
    ("write to jane.doe+x@mail.example.co.uk.", "jane.doe+x@mail.example.co.uk", "EMAIL_ADDRESS"),
    ("jane [at] example [dot] org", "jane [at] example [dot] org", "EMAIL_ADDRESS"),
    ("ｊａｎｅ＠example.org", "jane@example.org", "EMAIL_ADDRESS"),
    ("card 4111 1111 1111 1111 exp 12/27", "4111 1111 1111 1111", "CREDIT_CARD"),
    ("card 4111-1111-1111-1111", "4111-1111-1111-1111", "CREDIT_CARD"),
    ("４１１１１１１１１１１１１１１１", "4111111111111111", "CREDIT_CARD"),
    ("amex 378282246310005.", "378282246310005", "CREDIT_CARD"),
    ("IBAN GB82 WEST 1234 5698 7654 32 please", "GB82 WEST 1234 5698 7654 32", "IBAN_CODE"),
    ("de89370400440532013000", "de89370400440532013000", "IBAN_CODE"),
    ("SSN 078-05-1120", "078-05-1120", "US_SSN"),
    ("from 203.0.113.7 at", "203.0.113.7", "IP_ADDRESS"),
    ("host 2001:db8::8a2e:370:7334 up", "2001:db8::8a2e:370:7334", "IP_ADDRESS"),
    ("mac 00:1b:44:11:3a:b7", "00:1b:44:11:3a:b7", "MAC_ADDRESS"),
    ("call 01712-345678 now", "01712-345678", "PHONE_NUMBER"),
    ("call +880 1712 345678 now", "+880 1712 345678", "PHONE_NUMBER"),
    ("ফোন ০১৭১২৩৪৫৬৭৮", "01712345678", "PHONE_NUMBER"),
    ("tel (212) 555-0142", "(212) 555-0142", "PHONE_NUMBER"),
    ("+44 20 7946 0958", "+44 20 7946 0958", "PHONE_NUMBER"),
    ("call 5550142 today", "5550142", "PHONE_NUMBER"),
    ("NID ১৯৯০১২৩৪৫৬", "1990123456", "BD_NID"),
    ("NID 1990123456789", "1990123456789", "BD_NID"),
    ("এনআইডি ১৯৯০১২৩৪৫৬৭৮৯০১২৩", "19901234567890123", "BD_NID"),
    ("NID 199 012 3456", "199 012 3456", "BD_NID"),
    ("passport number AB1234567", "AB1234567", "ID_NUMBER"),
    ("ref 123456789012345", "123456789012345", "NUMBER"),
    ("born on 12 May 1985 in", "12 May 1985", "DATE_OF_BIRTH"),
    ("lives at 12 Green Road, Dhaka", "12 Green Road, Dhaka", "STREET_ADDRESS"),
    ("key sk-proj-abcdefghijklmnop1234567890 end", "sk-proj-abcdefghijklmnop1234567890", "API_KEY"),
    ("sk-ant-api03-AAAAAAAAAAAAAAAAAAAA", "sk-ant-api03-AAAAAAAAAAAAAAAAAAAA", "API_KEY"),
    ("AIza" + "B" * 35, "AIza" + "B" * 35, "API_KEY"),
    ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE", "AWS_ACCESS_KEY"),
    ("aws_secret = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None),
    ("ghp_" + "a1B2" * 9, "ghp_" + "a1B2" * 9, "API_KEY"),
    ("github_pat_" + "a1B2_" * 9, "github_pat_" + "a1B2_" * 9, "API_KEY"),
    ("glpat-abcdefghij0123456789", "glpat-abcdefghij0123456789", "API_KEY"),
    ("xox" + "b-123456789012-abcdefABCDEF", "xox" + "b-123456789012-abcdefABCDEF", "API_KEY"),
    ("sk_" + "live_abcdefghij0123456789", "sk_" + "live_abcdefghij0123456789", "API_KEY"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_123", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_123", "JWT"),
    (f"key:\n{PEM}\nend", PEM, "PRIVATE_KEY"),
    ("postgres://bob:hunter2@db.internal/app", "bob:hunter2@db.internal", "URL_CREDENTIALS"),
    ("https://x.org/cb?state=1&access_token=abcdef123", "abcdef123", "URL_CREDENTIALS"),
    ("Authorization: Bearer abcDEF123456ghi", "abcDEF123456ghi", None),
    ("password=Tr0ub4dor&3 next", "Tr0ub4dor&3", "PASSWORD"),
    ('"api_key": "not a usual key"', "not a usual key", "PASSWORD"),
    ("my password is sunshine", "sunshine", "PASSWORD"),
    ("Please ask Dr. Rubija Kovac about it", "Rubija Kovac", "PERSON"),
    ("my name is vitoria", "vitoria", "PERSON"),
    ("Best regards,\nRubija Kovac", "Rubija Kovac", "PERSON"),
    ("আমার নাম রহিম উদ্দিন", "রহিম উদ্দিন", "PERSON"),
    ("see data:image/png;base64,iVBORw0KGgo= here", "data:image/png;base64,iVBORw0KGgo=", "MEDIA"),
    ("[" + "12, " * 40 + "12]", "12, " * 40 + "12", "NUMBERS"),
]

LEFT = [
    "gpt-4o-2024-08-06",
    "claude-3-5-sonnet-20241022",
    "on 2024-11-22 at 10:30:45 and 22/11/2024",
    "version 1.2.3 of 1.10.0-rc.2",
    "from 127.0.0.1:8080 to 0.0.0.0",
    "std::vector<int> a::b",
    "it costs 1,234,567.89 or $1200000",
    "pi is 3.14159265358979",
    "rows 100 200 300 400 and years 2019 2020 2021",
    "uuid 0192f0c1-2a3b-7c4d-8e5f-0123456789ab",
    "sha 3f786850e387550fdab836ed7e6dc881de23001b",
    "the password is incorrect",
    "password: str, token: string, max_tokens=100",
    "api_key=os.environ['KEY'] and ${TOKEN}",
    "basic understanding of bearer bonds",
    "Dear customer, hello there. Hi all,",
    "Customers asked for more. Everyone thinks so.",
    "def f(x): return x[0] if x else None",
    "<PERSON_1> wrote to <EMAIL_ADDRESS_2>",
    "call call_abc123 returned ok",
    "-" * 600,
]


@pytest.mark.parametrize(("text", "value", "entity"), FOUND)
def test_found(text: str, value: str, entity: str | None) -> None:
    """The value is found whole, as what it is."""
    found = [(part, span.entity) for span, part in SCANNER.scan(text).values()]
    assert any(value in part and entity in (None, kind) for part, kind in found), found


@pytest.mark.parametrize("text", LEFT)
def test_left(text: str) -> None:
    """What is nobody's stays readable."""
    assert [part for _, part in SCANNER.scan(text).values()] == []


def test_a_key_without_its_end_is_found_to_the_end_of_the_text() -> None:
    """A body that was cut in a private key shows none of it."""
    spans = SCANNER.scan("x\n" + PEM[:50]).spans
    assert spans[-1].end == len("x\n" + PEM[:50])


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "a",
            "1",
            "1 ",
            "1-",
            "a.",
            "a@",
            "@a.",
            "://a:",
            "A ",
            "Aa ",
            "key=",
            "-----BEGIN PRIVATE KEY-----",
            ":",
            "1,",
        ),
        *("eyJaaaaaaaaa.", "\\u0061", "%41", "Mr. ", "my name is ", "password: ", "GB82 ", "+1(", "\n", "= ", "[at] "),
    ],
)
@pytest.mark.timeout(60)
def test_no_text_takes_long(piece: str) -> None:
    """Repetition, on which careless patterns spend the square of its length, ends."""
    SCANNER.scan(piece * (200_000 // len(piece)))


def test_checksums() -> None:
    """Known good numbers pass, the same with one digit changed do not."""
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")
    assert mod97("GB82WEST12345698765432")
    assert not mod97("GB82WEST12345698765433")


def test_normalised_digits_reach_the_patterns() -> None:
    """A card in full-width digits is cut out of the source whole."""
    text = "card ４１１１１１１１１１１１１１１１ ok"
    scanned = SCANNER.scan(text)
    low, high = normalise(text).source(scanned.spans[0].start, scanned.spans[0].end)
    assert text[:low] + text[high:] == "card  ok"
