/* Texts that stand in very many objects: kept ones share them instead of having a copy each. Pure. */
#pragma once

/** @return a constant that equals `text`, for ever; NULL when it is no text that is known. */
const char *known_text(const char *text);
