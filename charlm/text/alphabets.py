"""How common each character is in texts of some languages, roughly. Knows nothing of files.

That much tells encodings apart: read in a wrong one, a text has characters that go together in no language.
"""

import math
from collections.abc import Iterable
from functools import cache

# Letters beyond ASCII, the commonest first. A language of the Latin alphabet has few: those with marks.
LATIN = {
    "Catalan": "óàéèíòçúïü·",
    "Croatian": "čšžćđ",
    "Czech": "íáěéřčžýšůúďťňó",
    "Danish": "åøæé",
    "Dutch": "ëéïöèü",
    "English": "é£èïçêñ",
    "Estonian": "äõüöšž",
    "French": "éèàêçîôûùïâëœüæ",
    "German": "äüöß",
    "Hungarian": "áéőíöóüúű",
    "Icelandic": "íáóæþðöéúý",
    "Italian": "èàùòìé",
    "Latvian": "āīēšņūļžģķč",
    "Lithuanian": "ėųšįžūčąę",
    "Polish": "łąęóżśćńź",
    "Portuguese": "ãçáéíóêõâúàôü",
    "Romanian": "ăîâşţ",
    "Slovak": "áíéžčýšťúľôďňóäŕĺ",
    "Spanish": "óíáéñúü",
    "Swedish": "äåöé",
    "Turkish": "ıüşğçöâîİ",
    "Vietnamese": "đưôơâêàáăúóéíùèòì\u0301\u0300\u0323\u0309\u0303",
}
OTHER = {
    "Arabic": "ايلنمتروبدسعةفهكحقجأشصخطضذغئزىثإءآظؤًّ،",
    "Belarusian": "анаіеоскрылтдуямвпзцьбгчйжшхўюэёф",
    "Bulgarian": "аоиентрсвлдкпмъуязгбчщцжхшйюфь",
    "Greek": "αοιετσνηυρπκμλςόίάδγέήθχώφύξβζψϊΐϋΰ",
    "Hebrew": "יוהלארמתבשנכדקםעחפטזסגןצךץף״׳",
    "Macedonian": "аоиетнрсвдлкмјпубгзчцшжхњќѓџљфѕ",
    "Persian": "ايندرهمتوسبشكزفگپخعحجقچآصطضغثذظئژ،\u200c",
    "Russian": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
    "Serbian": "аоиенрстјвкудмлпгзбчцхжшљњћђфџ",
    "Thai": "านรอกเงมยลวดทสตะปบคหแจพชขใไโผซธศณฐถภฉญฟฎฆ่้ัิีึืุู็์ำๆ",
    "Ukrainian": "оаинвіетрслкдмупязьбгчйжхцшїюєщфґ",
}
# Of languages with thousands of characters the commonest, and the rows of a standard that have nearly all the others.
MANY = {
    "Chinese": (
        "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然"
        "家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日"
    ),
    "Chinese, traditional": (
        "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然"
        "家種事成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日"
    ),
    "Japanese": (
        "のいにしはたをとがてでるなかっられこりもすよあきまさうめくけつちどえそだおわせんみほへやろばじねげごひゆびむふ"
        "べぎぐぶずぼぜぱ"
    ),
    "Korean": "이다는을의에가고한로하지도를은서사인기어시자그리나수으아대니해있보라일전",
}
ROWS = {
    "Chinese": ("gb2312", 0xB0, 0xD7),
    "Chinese, traditional": ("big5", 0xA4, 0xC6),
    "Japanese": ("euc_jp", 0xB0, 0xCF),
    "Korean": ("euc_kr", 0xB0, 0xC8),
}
KATAKANA = (
    "ンールスイトラクリアッドシレフタロプマグテカバジコムデメキセサツウブオエパミナハニチビノダモケソホワネガヤヒゼベヘ"
    "ポピペゴボヨユズザゲギゾゴュャョィェォァヴ"
)
EASTERN_MARKS = "、。，：；？！（）「」『』《》・…—\u3000〜～"
MARKS = dict.fromkeys("“”‘’–—…«»„", 3.5) | dict.fromkeys("\xa0°§©®€•·№£¿¡ºª´‚‹›™½²³×±", 6.0)

LANGUAGES = (*LATIN, *OTHER, *MANY)


@cache
def costs(language: str) -> dict[str, float]:
    """How unexpected each character beyond ASCII is, in nats; small letters and marks only, and those that a text may have."""
    if language in LATIN:
        return MARKS | _ranked(LATIN[language], 0.1 if language == "Turkish" else 0.05)  # Turkish has many more
    if language in OTHER:
        return MARKS | _ranked(OTHER[language], 0.75)
    standard, first, last = ROWS[language]
    rows = (bytes([high, low]) for high in range(first, last + 1) for low in range(0x40, 0xFF))
    fair = [character for pair in rows if not (character := pair.decode(standard, "ignore")).isascii()]
    found = dict.fromkeys(fair, math.log(len(fair) / 0.4)) | _ranked(EASTERN_MARKS, 0.12)
    return MARKS | found | (_ranked(KATAKANA, 0.12) if language == "Japanese" else {}) | _ranked(MANY[language], 0.35)


def _ranked(characters: Iterable[str], share: float) -> dict[str, float]:
    """Costs of characters that are a `share` of all, where the one of rank r, from 0, is about 1 / (r + 3) as common."""
    weights = {character: 1 / (rank + 3) for rank, character in enumerate(dict.fromkeys(characters))}
    return {character: -math.log(share * weight / sum(weights.values())) for character, weight in weights.items()}
