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
