"""Names of people as Bangladeshis write them in Latin letters, also in small ones and beside words in Bangla. PURE."""

from __future__ import annotations

import re

from gateway.redact.bangla_words import plain
from gateway.redact.recogniser import Check, Rule, RuleRecogniser
from gateway.redact.vocabulary import NOT_NAMES, words

_NAMES = words(
    "abdul abdullah abdur abdus abu abul afroza afrin afsana ahmed ahmad ahsan akash akhter akter aktar"
    " alam alamgir ali amin amina aminul anika anis anisur anwar anwara arafat arif arifa arifin ariful"
    " arman asad ashik ashraf ashraful asif asma ataur atiq atiqur ayesha ayaan azad aziz azizul babul"
    " bashir begum belal bilkis bushra chowdhury delwar dilruba dipak emon enamul fahim fahmida faisal"
    " farhan farhana faria farid farida faruk faruq farzana fatema fatima ferdous ferdousi firoz fouzia"
    " fazlur fuad golam gias habib habiba habibur hafiz hafizur halima hamid hamida hanif haque harun"
    " hasan hasib hasibul hasina hassan helal hossain hossen hosen hussain humayun hridoy ibrahim"
    " iftekhar ikbal imran imtiaz iqbal ishrat islam ismail jahan jahangir jahid jahidul jakir jamal"
    " jamil jannat jannatul jashim jasim jesmin jerin joy jubayer kabir kamal kamrul kamrun karim kawsar"
    " khadija khaled khaleda khalil khan khanam khatun khandaker liton limon lutfor mahbub mahbubur"
    " mahfuz mahfuza mahin mahmud mahmuda mahmudul majumder maksuda mamun manik marufa maruf masud"
    " mazharul mehedi mehjabin miah mijan milon minhaj mithila mizan mizanur moin moinul monir monira"
    " monirul mosharraf mostafa mostafiz motaleb mourin mrinal mukta munira murad mushfiq mushfiqur"
    " mustafiz nabila nadia nadim nafis nafisa nahid nahida naim najma najmul nargis nasima nasir nasrin"
    " nazma nazmul nazneen nazrul nayeem niaz nilufa nishat noor nur nurul nusrat obaidul omar osman"
    " parveen parvez parvin prodip rabeya rabiul rafi rafia rafiq rafiqul rahat rahim rahima rahman"
    " raihan rajib rakib rakibul ramjan rashed rasheda rashid rashida rasel razia rezaul riad ridoy rifat"
    " rimon ripon riyad rokeya roksana rokon rony rozina rubel rubina ruma rumana sabbir sabiha sabina"
    " sabrina sadia sadman saiful saidur sajjad sajid sakib salam salma salman samia sanjida sarker"
    " sarkar selim selina shafiq shafiqul shafiul shahadat shahed shahida shahidul shahin shahnaz"
    " shahriar shakib shakil shamim shamima shamsul sharif shariful sharmin sheikh shirin shohag shohel"
    " siddique siddiqua siddiqui sikder sohag sohan sohel subrata sujon suman sumaiya sumon sultana sumi"
    " sumaya syed tahmid tahmina tahsin talukder tamanna tamim tanbir tania tanjila tanjim tanvir tanzim"
    " tareq tarek tarikul tasfia taslima tasnim tasnuva tofazzal touhid toufiq uddin ullah wahid yasin"
    " yasmin yeasin yousuf zahid zahidul zaman zakir zannat ziaur zinat zubair anik animesh arpita arnab"
    " banik barua bhattacharjee biswas bose chakma chakraborty das deb debnath dey dutta ghosh halder"
    " mitra mondal mukherjee nath paul pritam priyanka roy saha sen shil sarma sushmita"
)
_SURNAMES = (
    r"(?:Rahman|Rahaman|Hossain|Hossen|Hosen|Hussain|Islam|Uddin|Ahmed|Akter|Akhter|Aktar|Khatun|Begum|Chowdhury|Choudhury"
    r"|Miah|Mia|Mollah|Sarker|Sarkar|Haque|Hoque|Talukder|Sikder|Bhuiyan|Bhuiya|Howlader|Mondal|Majumder|Sultana|Parvin"
    r"|Parveen|Yasmin|Siddique|Siddiqui|Chakma|Chakraborty|Bhattacharjee|Ullah|Debnath|Barua|Khanam|Jahan|Kabir|Khandaker)"
)
_NOT_NAMES = NOT_NAMES | words(
    "boro choto mejo sejo amar amader tomar apnar tar or onar ji jee hae ha na accha acha assalamu"
    " alaikum walaikum salam dhonnobad dada mama chacha vai bhai apa apu bhabi sir shaheb saheb ami tumi"
    " apni keno ki kemon kothay kobe ekhon ekjon onek khub kichu shudhu thik sotti mittha abar ta oi ei"
    " ekta kar ke je jodi tahole plz pls please shunen bolen dekhen achen asen koren ken kon konta valo"
    " bhalo bolo bole boli kore theke thaki thake theka jonno kotha bolte bolchi bolsi bolchilam bolci"
    " nijer hocche holo hobe chilo ache nai nei oshustho daktar shikkhok kaj kaje office bari basa gram"
    " dhaka phone number nambar kal aj ajke gotokal agamikal ekhane okhane priyo prio gan boi khabar rong"
    " din vaiya bhaiya apuni uni amra tomra era ora bujhlam bujhi janena jani"
)

_BIG = r"[A-Z][a-z'-]{1,20}"
_NAME = rf"(?:{_BIG}|[A-Z]\.)(?:[ -](?:{_BIG}|[A-Z]\.?(?!\w))){{0,3}}(?![A-Za-z])"
_TYPED = r"[A-Za-z][a-z]{2,20}(?: [A-Za-z][a-z]{2,20}){0,3}?"
_CALLED = (
    r"(?:[Bb]hai(?:ya)?|[Vv]ai(?:ya)?|[Aa]pa|[Aa]pu|[Bb]habi|[Vv]abi|[Ss]aheb|[Ss]haheb|[Ss]ahib|[Cc]hacha|[Kk]aka|[Mm]ama"
    r"|[Kk]hala|[Bb]oudi|[Dd]idi|[Uu]ncle|[Aa]unty|[Ss]ir|[Mm]adam|[Mm]a'?am)"
)
_KIN = (
    r"(?:bhai|vai|bon|baba|abba|abbu|ma|amma|ammu|shami|stri|bou|bondhu|bandhobi|chele|meye|chacha|mama|khala|fufu|dada|nana"
    r"|boss|sir|colleague|manager|friend|cousin|roommate|teacher)"
)


def _no_stop(value: str) -> bool:
    return all(word.strip(".").lower() not in _NOT_NAMES for word in re.split("[ -]", value))


def _known(value: str) -> bool:
    """Whether the first word is a name that is known, and those in small letters too."""
    first, *more = value.split()
    return first.lower() in _NAMES and all(word in _NAMES for word in more if word.islower()) and _no_stop(value)


def _two_known(value: str) -> bool:
    """Whether two words of it are names that are known."""
    return sum(word.lower() in _NAMES for word in value.split()) > 1 and _no_stop(value)


def _rule(score: float, pattern: str, check: Check = _no_stop) -> Rule:
    return Rule("PERSON", score, re.compile(plain(pattern)), group="value", check=check)


_MINE = r"(?i:(?<!\w)(?:amar|amader|tar|onar|apnar|tomar) )" + f"(?i:{_KIN}) "
_CALLED_BN = r"(?:ভাই|আপা|আপু|সাহেব|স্যার|ম্যাডাম|ভাবি|চাচা|খালা|আঙ্কেল|আন্টি)"
_RULES = (
    _rule(
        0.9,
        r"(?i:(?<!\w)(?:md|mst|mosa|mosammat|mohammad|mohammed|muhammad|janab|janaba|alhaj|shree|sree|engr|adv))"
        rf"(?:\. ?| )(?P<value>{_NAME})",
    ),
    _rule(
        0.9,
        r"(?i:(?<!\w)(?:amar|tar|onar|or|ammur|abbur|bhaier|vaier|boner|ma-?er|babar|bondhur|customer-?er) "
        r"(?:full |puro |bhalo |dak ?)?na+m(?: holo| hocche| hoitese| chilo| is)?)[ :-]{1,3}"
        rf"(?P<value>{_TYPED})(?=[,.!?;।\n]|$| (?:ar|er|ebong|theke|bolchi|ami|and|amar|o|tar|please|plz|but|kintu)\b)",
    ),
    _rule(
        0.85,
        rf"(?i:(?<!\w)ami )(?P<value>{_TYPED})"
        r"(?i:(?= (?:bolchi|bolsi|bolci|bolchilam|bolteci|bolteshi|likhchi|likhsi)\b))",
    ),
    _rule(0.8, rf"(?i:(?<!\w)ami )(?P<value>{_TYPED})(?=[,.!।\n]|$)", _known),
    _rule(0.8, rf"{_MINE}(?P<value>{_NAME})"),
    _rule(0.8, rf"{_MINE}(?P<value>[a-z]{{3,20}} [a-z]{{3,20}})(?!\w)", _known),
    _rule(0.8, rf"{_MINE}(?P<value>[a-z]{{3,20}})(?!\w)", _known),
    _rule(0.8, rf"(?<!\w)(?P<value>{_NAME}) (?={_CALLED}(?:-?(?:ke|er|r|ra|te))?(?![A-Za-z]))"),
    _rule(0.8, rf"(?<!\w)(?P<value>[a-z]{{3,20}})(?= {_CALLED}(?:-?(?:ke|er|r|ra))?(?![A-Za-z]))", _known),
    _rule(0.8, rf"(?<!\w)(?P<value>{_BIG}(?: {_BIG}){{0,2}} {_SURNAMES})(?![A-Za-z])"),
    _rule(0.8, rf"(?<!\w)(?P<value>{_BIG}(?: {_BIG}){{1,3}})(?!\w)", _two_known),
    _rule(0.85, rf"(?i:(?<!\w)(?:priyo|prio|janab|srodhheyo)) (?P<value>{_NAME})"),
    _rule(0.85, rf"(?i:(?<!\w)(?:dhonnobadante|iti|binito)[,:]?\s{{1,4}})(?P<value>{_NAME})(?=\s{{0,4}}(?:$|\n|,))"),
    _rule(
        0.85,
        r"(?i:(?<!\w)(?:nam|pitar nam|matar nam|pita|mata|(?:father|mother|husband)'?s name|spouse name)\s?[:=]\s?)"
        rf"(?P<value>(?:Md\. ?|Mst\. ?|Late )?{_NAME})",
    ),
    # beside words in Bangla
    _rule(0.9, rf"নাম(?: (?:হলো|হল|হচ্ছে))?\s?[:,-]?\s?(?P<value>{_NAME})"),
    _rule(0.85, rf"আমি (?P<value>{_NAME})(?=,? (?:বলছি|লিখছি|বলছিলাম))"),
    _rule(0.85, rf"(?:জনাবা?|মোঃ|মোছাঃ|ডাঃ|ডা\.|মো\.|ড\.|প্রিয়|শ্রী) ?(?P<value>{_NAME})"),
    _rule(
        0.85,
        r"(?:ভাই|বোন|বাবা|মা|স্বামী|স্ত্রী|বন্ধু|ছেলে|মেয়ে|চাচা|মামা|বস|সহকর্মী|ম্যানেজার) " rf"(?P<value>{_NAME})",
    ),
    _rule(0.85, rf"(?<!\w)(?P<value>{_NAME})(?= ?-?{_CALLED_BN})"),
    _rule(0.8, rf"(?<!\w)(?P<value>{_NAME})(?= ?-?(?:কে|এর|রে|র) )", _known),
)


def banglish_names() -> RuleRecogniser:
    """Names by how they are introduced and called, and by their parts."""
    return RuleRecogniser("banglish names", _RULES)
