/* The files of assets/, which the build puts into the program (.cmake/Embed.cmake): what the status page needs besides itself. */
#pragma once

extern const char asset_page_css[], asset_page_js[], asset_icon_svg[];
