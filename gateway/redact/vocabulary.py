"""Word lists. PURE."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a text, separated by blanks."""
    return frozenset(text.split())


NOT_NAMES = words(
    "the a an all everyone everybody someone somebody nobody anyone anybody one no some any each every both who what"
    " when"
    " where why how which if but and or so yet because although while then also please just here there now today"
    " tomorrow"
    " yesterday not very sure sorry glad happy afraid looking going trying i we you he she it they this that these"
    " those my"
    " our your his her its their us him them me team sir madam friend friends customer customers colleague colleagues"
    " user"
    " users client clients people person man woman men women child children kid kids guy guys folks ladies gentlemen"
    " mom"
    " dad mum god lord world hiring manager support service sales hr it legal marketing engineering management finance"
    " admin staff patient patients student students teacher teachers doctor doctors employee employees member members"
    " assistant bot ai claude chatgpt gpt gemini llama copilot siri alexa again ok okay yes hello hi hey dear thanks"
    " thank"
    " regards best kind name names address phone email e-mail mail mobile fax tel website url date subject re fw fwd"
    " from to"
    " cc bcc in on at as of for with by is are was were be been do does did can could will would should may might"
    " must let"
    " call text note example salesperson monday tuesday wednesday thursday friday saturday sunday january february"
    " march"
    " april june july august september october november december spring summer autumn winter mr mrs ms dr prof bob's"
    " discipline wisdom ssn iban visa card order invoice"
    # what developers talk about and the model takes for people and places
    " python java javascript typescript rust ruby golang kotlin swift scala perl haskell django flask fastapi numpy"
    " pandas"
    " pytorch tensorflow docker kubernetes redis kafka postgres postgresql mysql sqlite mongodb nginx git github"
    " gitlab linux"
    " ubuntu debian windows macos android json yaml xml html css sql http https api rest graphql grpc readme markdown"
    " jupyter node npm react vue angular webpack terraform ansible jenkins grafana prometheus clickhouse airflow spark"
    " hadoop excel powerpoint jira slack figma bash pytest dockerfile makefile async lambda regex boolean unicode"
    " ascii utf"
    " openai anthropic mistral langchain pydantic celery pinecone stripe paypal"
)
"""Capitalised words that begin a sentence, name a field or a program, and hence no person and no place."""

FIRST_NAMES_THAT_ARE_WORDS = words(
    "mark will bill grace rose hope joy faith art drew chase grant frank jack may june april august summer autumn"
    " dawn pat sue gene dean max miles rob bob nick rich victor earl duke prince angel amber ruby pearl jade"
    " crystal iris ivy lily daisy violet olive holly heather ginger sage basil robin jay martin christian guy don"
    " ray ken jean penny peter dick randy sandy rusty skip tag lane cliff brook glen dale heath forest river rocky"
    " stone clay carol melody harmony destiny serenity patience charity constance mercy verity felicity bliss star"
    " sky sunny wade warren reed ford carter cooper mason hunter fisher taylor tanner parker porter archer baker"
    " cook smith young long short brown green white black gray king knight page bishop church wood woods hill"
    " field fields rivers marsh lake banks bush berry cherry peach myrtle fern bell wells moon sterling storm wolf"
    " fox hawk finch swan crane love worth noble savage swift sharp strong wise bright gay merry bella linda rosa"
    " maria luna sol paz cruz santos reyes flores campos angeles milagros dolores mercedes consuelo esperanza sara"
    " ana eva ada ida ali ben dan sam tim tom jim joe leo ned ron roy ted tony kim lee li wang chen liu yang zhang"
    " wu ma hu he an park choi song han lin"
)
"""Words that are first names or surnames too, so that one at a sentence's beginning may be somebody."""
