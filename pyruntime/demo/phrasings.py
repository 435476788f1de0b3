"""What people write for each edit, in English and Chinese, and the noise that typing adds.

Knows wording only. `heldout.tsv` is excluded by construction: `sample` never returns a sentence
whose normalised form stands there.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

HELDOUT = [
    tuple(line.split("\t"))
    for line in (Path(__file__).with_name("heldout.tsv")).read_text("utf-8").splitlines()
]

IT = "it|this|the photo|the picture|the image|this photo|this picture|this image|my photo"
IT += "|my picture|my image|the whole photo|the whole image|everything|the entire picture|my pic"
BEFORE = "|||||please |can you |could you |could you please |now |just |i want you to |kindly "
BEFORE += "|would you |hey, |i need you to |let's |go ahead and |try to |i'd like you to "
AFTER = "|||||| please| for me| thanks| a bit| a little| slightly| now| for my blog"
ZH_IT = "图片|照片|这张图|这张照片|这张图片|图像|它|画面|整张图|我的照片|相片"
ZH_BEFORE = "|||请|帮我|请帮我|麻烦|能不能|可以|我想|给我"
ZH_AFTER = "||||吧|一下|谢谢|，谢谢|好吗"

# {it} is any way to name the picture; (a/b/) picks one; every line is one way to ask.
EN = {
    "unchanged": """(leave/keep) {it} (as it is/as is/alone/unchanged/the same/untouched/intact)
do nothing( to {it}/)|(do not/don't/never) (change/touch/alter/modify/edit) (anything/{it}/a thing)
no (changes/change/edit/edits/modification)( at all/ needed/)|nothing should change|same (photo/image) again
(return/give back) {it} (unchanged/untouched)|{it} is fine( as it is/)|make no (change/changes)( to {it}/)
keep (the original/everything the same/everything)|reproduce {it} exactly|copy {it}|original please""",
    "invert": """invert( the/ all the/ all/ every/) (color/colors/colour/colours)( of {it}/ in {it}/)|invert {it}
make {it} (a negative/negative/inverted)|(negative/film negative/photo negative/inverted colors)
turn {it} into (a/its) (negative/film negative)|reverse (the/all the) (colors/colours)( in {it}/)
(create/make/give me) (a/the) (photo/film/color/) negative( of {it}/)|swap (light and dark/dark and light)
use (opposite/complementary) colors|flip the colors to their opposites|negate {it}|show {it} inverted""",
    "grayscale": """(make/turn/convert/change/render/paint) {it} (black and white/to grayscale/into grayscale/gray/grey)
(make/turn) {it} (b&w/bw/monochrome/colorless/greyscale/grayscale/into black and white)|grayscale( {it}/)
(remove/take out/take away/drop/strip/delete/lose/kill) (all the/all/the/every) (color/colors/colour/colours)( from {it}/ out of {it}/ in {it}/)
convert {it} to (black and white/monochrome/greyscale/b&w/shades of gray)|(black and white/b&w/monochrome/greyscale) (please/version/photo/look)
i want (a/it in/it) (black and white/monochrome/grayscale)( version/ photo/ picture/)|fully desaturate {it}|no (color/colour/colors)
a (monochrome/black and white) (version/copy) of {it}|make {it} without (color/colours)|take every (color/colour) out""",
    "sepia": """(make/turn/give/convert) {it} (sepia/to sepia/sepia toned/into sepia/a sepia tone/a sepia look)
(apply/add/use) (a/the/) sepia( tone/ filter/ effect/ look/)( to {it}/)|sepia( tone/ filter/ please/)
make {it} look (old/vintage/antique/like an old photo/like an old photograph/aged/retro/brown and old)
(old/vintage/antique/retro) (photo/photograph/brown) (look/style/effect)|(brown/brownish) (vintage/old/antique) (tone/tones/look)
turn {it} into an (old/antique) (photo/photograph)|age {it}|like a photo from 1900|yellowed old photograph""",
    "brighter": """(make/turn) {it} (brighter/lighter/more bright/bright/much brighter)|brighten( up/) {it}|lighten( up/) {it}
(increase/raise/boost/turn up/up) the (brightness/exposure/light)( of {it}/ in {it}/)|more (brightness/light/exposure)
{it} is too (dark/dim)( make it brighter/ lighten it/ fix that/)|(add/give/let in) (some/more) (light/brightness)( to {it}/)
it should be (brighter/lighter)|i want {it} brighter|(give/add to) {it} (more/some) (light/brightness)|illuminate {it}
brighter|lighter|overexpose {it} a bit|make the (scene/shadows) brighter""",
    "darker": """(make/turn) {it} (darker/dimmer/more dark/dark/much darker)|darken {it}|dim {it}
(decrease/reduce/lower/turn down/cut) the (brightness/exposure/light)( of {it}/ in {it}/)|less (brightness/light/exposure)
{it} is too (bright/light)( make it darker/ darken it/ fix that/)|(remove/take away) (some/) light( from {it}/)
it should be (darker/dimmer)|i want {it} darker|darker|underexpose {it}|make the (scene/light) (dimmer/darker)|dimmer""",
    "more contrast": """(increase/raise/boost/add/improve/strengthen/enhance/turn up/more) (the/) contrast( of {it}/ in {it}/ to {it}/)
make {it} (more contrasty/high contrast/higher contrast/punchier/contrastier)|(high/higher/more/stronger) contrast
give {it} (more/higher/stronger/some) (contrast/punch)|make (darks darker and lights lighter/the contrast stronger)
i want more contrast|deepen the shadows and lift the highlights|{it} looks (flat/dull), add contrast|punch it up""",
    "less contrast": """(decrease/reduce/lower/soften/cut/weaken/turn down/less/drop) (the/) contrast( of {it}/ in {it}/)
make {it} (less contrasty/low contrast/lower contrast/flatter/flat/faded/washed out)|(low/lower/less/weaker/softer) contrast
give {it} (less/lower/weaker) contrast|the contrast is too (high/strong)( lower it/)|flatten the tones|i want less contrast
(faded/washed out/flat/hazy) look|fade {it}|{it} has too much contrast""",
    "more saturated": """(increase/raise/boost/turn up/more/pump up/up) (the/) (saturation/color saturation/vibrance)( of {it}/ in {it}/)
make (the/all/) (colors/colours) (more vivid/more vibrant/stronger/richer/brighter/pop/more intense/more colorful)( in {it}/)
make {it} (more saturated/more vivid/more colorful/more colourful/colorful/vibrant)|(vivid/vibrant/intense/richer/stronger) (colors/colours)
saturate {it}|(more/stronger/richer/bolder) (color/colour/colors)|give {it} (vivid/vibrant/more/richer) (color/colors)
intensify the (colors/colours)|let the colors pop|colors are too (dull/pale), make them vivid""",
    "less saturated": """(decrease/reduce/lower/turn down/less/cut) (the/) (saturation/color saturation/vibrance)( of {it}/ in {it}/)
make (the/all/) (colors/colours) (less vivid/more muted/paler/softer/weaker/duller/less intense/less saturated)( in {it}/)
make {it} (less saturated/less vivid/less colorful/more muted/muted/paler)|(muted/pale/pastel/softer/weaker/subdued) (colors/colours)
(partly/slightly/partially/a little/half) desaturate {it}|desaturate {it} (a bit/a little/slightly/partly/somewhat)
(tone down/mute/soften/dull/calm down) the (colors/colours)( in {it}/)|less (color/colour/colorful)|colors are too (vivid/strong/loud)""",
    "warmer": """(make/turn/get) {it} (warmer/look warmer/warm/more warm/feel warm)|warm( up/) {it}|warmer( tones/ colors/ look/ please/)
(add/give it/apply/use) (a/more/some/) (warm/warmer/golden/warming) (tone/tones/light/colors/feeling/filter/look)( to {it}/)
give {it} (a warm look/warm tones/a warmer look/a golden glow/warm colors)|(increase/raise) the (color temperature/warmth)
(shift/move) the (colors/white balance) to (warm/orange/yellow)|golden hour( look/ light/)|more (orange/yellow/warmth)|like sunset light""",
    "cooler": """(make/turn/get) {it} (cooler/look cooler/cool/colder/cold/more cool/feel cold/bluish)|cool( down/) {it}|(cooler/colder)( tones/ colors/ look/ please/)
(add/give it/apply/use) (a/more/some/) (cool/cooler/cold/icy/wintry) (tone/tones/light/colors/feeling/filter/look)( to {it}/)
give {it} (a cool look/cool tones/a cooler look/a cold mood/cool colors)|(decrease/lower) the (color temperature/warmth)
(shift/move) {it} to (cool/cold/cooler/colder) (tones/colors)|less warm|(icy/wintry/cold/winter) (mood/look)|make it feel like winter""",
    "blur": """blur {it}|make {it} (blurry/blurred/soft focus/out of focus/unsharp/fuzzy/hazy and blurry/softer)|(add/apply/use) (a/some/) (blur/gaussian blur)( to {it}/)
(gaussian blur/blurry/blur/blurred)|defocus {it}|put {it} out of focus|smooth( out/) {it}|soften {it}( heavily/)|(out of focus/unfocused)( look/)
give {it} a (blur/blurry look)|make the details (soft/blurry)|smear {it}|lose the focus""",
    "sharpen": """sharpen( up/) {it}|make {it} (sharper/crisp/crisper/sharp/more sharp/clearer/more detailed)|(increase/boost/add/more) (the/) (sharpness/clarity/detail)( of {it}/ to {it}/)
(sharpen/enhance/bring out/emphasize/crispen) the (details/detail/texture/fine details)( in {it}/)|(sharper/crisper/clearer)( details/)
{it} is (soft/blurry/too soft), sharpen it|apply (a/) (sharpening/unsharp mask/sharpen)( filter/)( to {it}/)|give {it} (more sharpness/crisp details)|the details are soft, sharpen them""",
    "pixelate": """pixelate {it}|make {it} (pixelated/blocky/a mosaic/pixel art/8 bit)|(add/apply/use/give it) (a/) (pixel/mosaic/pixelation/pixelate/blocky)( effect/ filter/ look/)( to {it}/)
turn {it} into (pixels/large pixels/a mosaic/blocks/pixel art/big blocks/big squares)|(pixelated/mosaic/pixelate/blocky pixels/8 bit)( effect/ look/)
show {it} in (big/large/huge) (pixels/blocks)|(low resolution/low res) (blocks/pixels/look)|censor {it} with (pixels/a mosaic)|retro game pixels""",
    "posterize": """posterize {it}|make {it} (posterized/look like a poster/a poster/flat color)|(apply/add/use) (a/) (posterize/posterization/poster)( effect/ filter/)( to {it}/)
(reduce/limit/cut) the (number of/) (colors/color levels/tones/colours)( to a few/ to four/ in {it}/)|(use/only/keep) (only/just/) (a few/few/four) (colors/color levels/tones/levels)
(posterized/posterization/poster)( look/ effect/ style/)|(flat/fewer/limited) (colors/color bands/tones)|turn {it} into (a poster/flat color bands)|four levels per channel""",
    "solarize": """solarize {it}|make {it} (solarized/a solarisation)|(apply/add/use/give it) (a/the/) (solarize/solarization/solarized/solarise/sabattier)( effect/ filter/ look/)( to {it}/)
(solarized/solarization/solarisation/solarise)( effect/ look/ please/)|invert (only/just) the (bright/light) (parts/tones/areas)( of {it}/)
turn {it} into a solarized (photo/print)|solarise {it}|man ray solarization""",
    "threshold": """(apply/add/use) (a/) (threshold/hard threshold/binary threshold)( effect/ filter/)( to {it}/)|threshold {it}|binarize {it}|make {it} (binary/two tone/1 bit/stark black or white)
(only/just/use only) (pure/) black (and/or) (pure/) white( pixels/ without gray/ with no gray/ without any grays/ no grays in between/)|(two tone/binary/1 bit/stencil)( image/ look/)
turn {it} into (a stencil/a silhouette stencil/two tones/pure black and pure white)|no (grays/greys/gray tones), (only/just) black and white|every pixel either black or white""",
    "emboss": """emboss {it}|make {it} (embossed/look embossed/a relief/look like a relief/look carved/like stamped metal)|(apply/add/use/give it) (an/a/the/) (emboss/embossed/embossing/relief)( effect/ filter/ look/)( to {it}/)
(embossed/emboss/relief/bas relief)( look/ effect/ please/)|turn {it} into (a relief/an embossing/a gray relief/stone carving)|give {it} (a raised look/relief/depth like stone)|carve {it} in stone""",
    "edges": """(find/detect/show/extract/trace/highlight/outline) (the/all the/only the/) (edges/contours/outlines)( of {it}/ in {it}/)|edge (detection/detect/map/filter)( on {it}/)
(keep/show/leave) (only/just) (the/) (edges/contours/outlines)( white on black/ on black/)|(white/bright) (lines/outlines/edges) on (a/) black( background/)
turn {it} into (edges/an edge map/glowing edges/white outlines)|(edges/contours/glowing edges/edge map)|make {it} (an edge map/only edges)|outline {it} on black""",
    "sketch": """(make/turn/convert) {it} (a sketch/into a sketch/into a pencil sketch/to a drawing/into a drawing/a pencil drawing/into a line drawing)
(draw/sketch) {it}( with a pencil/ in pencil/ by hand/ as a sketch/)|(pencil/hand drawn/charcoal/line) (sketch/drawing/art)( of {it}/ effect/ style/ please/)
make {it} look (like a sketch/drawn/hand drawn/like a drawing/sketched/like it was drawn with a pencil)|(apply/add/use) (a/the/) (sketch/pencil/drawing) (effect/filter/style)( to {it}/)
(sketch/drawing/pencil)|(black/dark/gray) (lines/pencil lines) on white( paper/)|as a pencil drawing on (white/) paper""",
    "vignette": """(add/apply/use/put/give it) (a/some/) (vignette/vignetting/dark vignette)( effect/ to {it}/ on {it}/ around {it}/)|vignette( {it}/)|darken the (corners/edges and corners/borders softly/corners and edges)( of {it}/)
make the (corners/edges) (darker/dark/fade to black)( in {it}/)|(dark/darker/shaded) corners|fade the (corners/borders) to (black/dark)|give {it} (dark corners/a vignette)|lomo corners""",
    "mirror": """mirror (the/) left (half/side/part)( of {it}/)( onto the right/ to the right/ on the right/ over/)|make {it} symmetric(al/)( from the left half/ left and right/)|(mirror symmetry/symmetric/symmetrical)( look/)
(reflect/copy/repeat) the left (half/side) (onto/to/on/over) the right( half/ side/)|(make/turn) {it} (symmetrical/into a mirror symmetric image/mirror symmetric/a kaleidoscope)|kaleidoscope( mirror/)|butterfly symmetry
the right (half/side) should (mirror/reflect) the left( half/ side/)""",
    "flip horizontally": """flip {it} (horizontally/left to right/left right/sideways/from left to right/on the vertical axis)|(horizontal/left right) flip( of {it}/)|mirror {it}( horizontally/ left to right/ sideways/)
(reverse/swap/switch) (left and right/the left and right side/the left and the right)( in {it}/)|make {it} (face the other way/a mirror image/mirrored)|(mirror image/mirrored/a mirror image)( of {it}/)
turn {it} (around horizontally/to face the other way)|reflect {it} (horizontally/left to right)|as seen in a mirror""",
    "flip vertically": """flip {it} (vertically/top to bottom/upside down/over vertically/up and down/on the horizontal axis)|(vertical/top bottom/up down) flip( of {it}/)|mirror {it} (vertically/top to bottom)
(reverse/swap/switch) (top and bottom/up and down/the top and the bottom)( in {it}/)|reflect {it} (vertically/top to bottom/like in water)|(turn/put) {it} upside down( with a vertical flip/ by a vertical flip/ vertically/)|upside down|a vertical mirror image""",
    "rotate 180": """rotate {it} (180/by 180/180 degrees/by 180 degrees/half a turn/by half a turn/by a half turn)|(turn/spin/rotate) {it} (180 degrees/by 180 degrees/around by 180 degrees/half a turn/through 180)
(180/180 degree/half turn/half circle) (rotation/turn/rotate)( of {it}/)|rotate {it} (twice by 90/upside down/all the way around to upside down)|half( a/) (turn/rotation)""",
    "swap red and blue": """{swap} (the/) red (and/with/and the/for/with the) blue( channel/ channels/ one/)( in {it}/ of {it}/)|{swap} (the/) red channel (and/with/and the/with the) blue( channel/ one/)|{swap} (the/) blue (and/with/and the/with the) red( channel/ channels/ one/)
(bgr/rgb to bgr/bgr instead of rgb)|red (becomes/to/into) blue and blue (becomes/to/into) red|let red and blue trade places""",
    "swap red and green": """{swap} (the/) red (and/with/and the/for/with the) green( channel/ channels/ one/)( in {it}/ of {it}/)|{swap} (the/) red channel (and/with/and the/with the) green( channel/ one/)|{swap} (the/) green (and/with/and the/with the) red( channel/ channels/ one/)
(grb instead of rgb/rgb to grb)|red (becomes/to/into) green and green (becomes/to/into) red|let red and green trade places""",
    "swap green and blue": """{swap} (the/) green (and/with/and the/for/with the) blue( channel/ channels/ one/)( in {it}/ of {it}/)|{swap} (the/) green channel (and/with/and the/with the) blue( channel/ one/)|{swap} (the/) blue (and/with/and the/with the) green( channel/ channels/ one/)
(rbg instead of rgb/rgb to rbg)|green (becomes/to/into) blue and blue (becomes/to/into) green|let green and blue trade places""",
}
TINT = """tint {it} {c}|(add/apply/put/use/lay) (a/) {c} (tint/color cast/overlay/tone/filter/wash)( to {it}/ over {it}/ on {it}/)|give {it} (a/) {c} (tint/color cast/tone/glow/hue/wash)
make {it} ({c}/more {c}/look {c}/{c} tinted/a bit {c}ish)|{c} (tint/overlay/filter/color cast)|(colorize/color/colour) {it} {c}|(cover/wash) {it} (in/with) {c}( light/)|bathe {it} in {c}"""
FRAME = """(add/put/draw/place/make/give it) (a/) (thick/) {c} (frame/border/edge/outline)( around {it}/ on {it}/ to {it}/ around the edges/ around it all/)|{c} (frame/border)( around {it}/)
(frame/surround/enclose/border) {it} (in/with) (a/) {c}( frame/ border/ edge/)|give {it} (a/) {c} (frame/border)|make the (border/frame/edges) {c}|(wrap/put) {it} (in/inside) a {c} (frame/border)"""
SHAPE = "{put} (a/one/) (big/small/) {c} {k} {p}( of {it}/ of {it}/)|{put} (a/) {k} (in/of) {c} {p}"
SHAPE += "|{c} {k} {p}( of {it}/ of {it}/)|{p} {put} (a/) {c} {k}|{p} of {it} {put} a {c} {k}"
PUT = "(add/put/draw/place/paint/insert/show/make)"
KINDS = {"circle": "(circle/dot/disc/disk/ball/round spot)", "square": "(square/box/block)"}
WHERE = {
    "middle": "(in/at) the (exact/very/) (middle/center/centre)|right in the (middle/center/centre)",
    "top left": "(in/at/to) the (top/upper) left( corner/ part/)",
    "top right": "(in/at/to) the (top/upper) right( corner/ part/)",
    "bottom left": "(in/at/to) the (bottom/lower) left( corner/ part/)",
    "bottom right": "(in/at/to) the (bottom/lower) right( corner/ part/)",
}
SWAP = "(swap/exchange/switch/interchange/trade)"

# Chinese: {t} is the picture.
ZH = {
    "unchanged": "不要改变{t}|保持{t}不变|什么都不要改|{t}保持原样|不做任何修改|别动{t}|原样返回",
    "invert": "反转颜色|把{t}反色|{t}颜色反转|颜色取反|做成负片|将{t}的颜色反转|{t}变成底片效果|反相",
    "grayscale": "把{t}变成黑白(的/)|{t}变黑白|转成黑白|去掉(所有/)颜色|变成灰度图|黑白照片|把{t}(转为/改成/做成)(黑白/灰度)|(将/让){t}变(成/为)黑白|黑白效果|去色|改为单色",
    "sepia": "把{t}变成(复古/怀旧/棕褐色/老照片)|(复古/怀旧/老照片/棕褐色)(色调/效果/风格)|做成老照片|加(复古/怀旧)滤镜|做旧{t}|{t}做成棕褐色",
    "brighter": "(把/将/让){t}(变亮/调亮/提亮)(一点/一些/)|(提高/增加)亮度|更亮(一点/)|{t}太暗了(，调亮/)|亮一点|加亮{t}",
    "darker": "(把/将/让){t}(变暗/调暗/压暗)(一点/一些/)|(降低/减少)亮度|更暗(一点/)|{t}太亮了(，调暗/)|暗一点",
    "more contrast": "(增加/提高/加强/增强)({t}的/)对比度|对比(度/)更强|对比度高一点|高对比度",
    "less contrast": "(降低/减少/减弱)({t}的/)对比度|对比(度/)更弱|对比度低一点|低对比度",
    "more saturated": "(增加/提高)({t}的/)饱和度|(让/使/把)({t}/)(颜色/色彩)(更/变得更/变)(鲜艳/浓/艳丽)|色彩更鲜艳|更鲜艳|颜色浓一点",
    "less saturated": "(降低/减少)({t}的/)饱和度|(让/使/把)({t}/)(颜色/色彩)(更/变得更/变)(淡/柔和/暗淡)|颜色淡一点|色彩柔和一点",
    "warmer": "(把/将/让){t}(变暖/调暖/更暖)|(暖色调/暖色)|(调成/变成/加)暖色(调/)|更温暖|色调暖一点|{t}变成暖色调",
    "cooler": "(把/将/让){t}(变冷/调冷/更冷)|(冷色调/冷色)|(调成/变成/加)冷色(调/)|更冷|色调冷一点|{t}变成冷色调",
    "blur": "(把/将/让/使){t}(变/变得/弄/)模糊(一点/)|模糊{t}|模糊(化/处理/效果)|加模糊|高斯模糊|虚化{t}",
    "sharpen": "锐化{t}|(把/将/让){t}(变/变得/)(更/)(清晰/锐利/锐化)|(提高/增加)(清晰度/锐度)|更清晰|细节更清晰",
    "pixelate": "(把/将/给){t}(打/加/打上/加上)(马赛克/像素效果)|像素化{t}|马赛克(效果/)|变成(像素/马赛克/像素风)|打(上/)马赛克",
    "posterize": "色调分离|(海报/海报化)效果|减少颜色(数量/)|把{t}海报化|只用几种颜色",
    "solarize": "(中途曝光/曝光过度反转|日光化)(效果/)|把{t}(日光化/中途曝光)|只反转亮部",
    "threshold": "二值化{t}|(阈值/二值)(处理/效果)|只(保留/用)纯黑和纯白|把{t}二值化",
    "emboss": "浮雕(效果/)|把{t}(变成/做成)浮雕|加浮雕效果|让{t}像浮雕",
    "edges": "(边缘检测/提取边缘/找出边缘)|只显示(边缘/轮廓)|检测{t}的边缘|显示轮廓",
    "sketch": "(把/将/让){t}(变成/做成/画成/转成)(素描/铅笔画/线稿/铅笔素描)|素描(效果/风格)|铅笔画|画成素描",
    "vignette": "(加/添加/加上)暗角|暗角效果|(压暗/变暗)四角|让{t}四周变暗",
    "mirror": "左右对称|把左半边镜像到右边|做成对称|(让/使){t}对称",
    "flip horizontally": "水平翻转({t}/)|左右翻转({t}/)|(把/将){t}(水平/左右)翻转|镜像({t}/)|左右颠倒",
    "flip vertically": "垂直翻转({t}/)|上下翻转({t}/)|(把/将){t}(垂直/上下)翻转|上下颠倒",
    "rotate 180": "旋转(一百八十/180)度|(把/将){t}旋转180度|{t}转180度|旋转半圈",
    "swap red and blue": "(交换/互换/对调)红(色/)(和/与)蓝(色/)(通道/)|红蓝(互换/对调/交换)",
    "swap red and green": "(交换/互换/对调)红(色/)(和/与)绿(色/)(通道/)|红绿(互换/对调/交换)",
    "swap green and blue": "(交换/互换/对调)绿(色/)(和/与)蓝(色/)(通道/)|绿蓝(互换/对调/交换)|蓝绿互换",
}
ZH_C = {
    "red": "红色",
    "green": "绿色",
    "blue": "蓝色",
    "yellow": "黄色",
    "white": "白色",
    "black": "黑色",
}
ZH_P = {
    "middle": "(中间/中央/正中间/中心)",
    "top left": "左上(角/方)",
    "top right": "右上(角/方)",
    "bottom left": "左下(角/方)",
    "bottom right": "右下(角/方)",
}
ZH_K = {"circle": "(圆/圆形/圆圈/圆点)", "square": "(方块/正方形/方形)"}

CHOICE = re.compile(r"\(([^()]*)\)")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def lines(text: str) -> list[str]:
    """Splits on | and on line ends, but not inside (...)."""
    return [p.strip() for p in re.split(r"\||\n", text) if p.strip()]


def table(name: str) -> tuple[list[str], list[str]]:
    """The English and Chinese patterns of one edit."""
    if name in EN:
        return lines(EN[name]), lines(ZH[name])
    words = name.split(" ")
    if words[0] == "tint":
        c, z = words[1], ZH_C[words[1]]
        zh = f"加{z}滤镜|(把/让){{t}}偏{z}|染成{z}|{{t}}(加上/蒙上){z}(调/)|{z}色调"
        return lines(TINT.replace("{c}", c)), lines(zh)
    if words[0] == "frame":
        c, z = words[1], ZH_C[words[1]]
        zh = f"(给{{t}}/)(加/添加/加上/加一个){z}(的/)(边框/相框/框)|{z}(边框/相框)"
        return lines(FRAME.replace("{c}", c)), lines(zh)
    c, k, p = words[0], words[1], " ".join(words[2:])
    en = [
        s.replace("{c}", c).replace("{k}", KINDS[k]).replace("{p}", w)
        for s in lines(SHAPE)
        for w in lines(WHERE[p])
    ]
    z = f"{ZH_C[c]}(的/)" + ZH_K[k]
    zh = f"(在/){{t}}?{ZH_P[p]}(加/画/放)一个{z}|{ZH_P[p]}(加/画/放)(上/)(一个/){z}|{z}(在/放在){ZH_P[p]}"
    return en, lines(zh.replace("{t}?", "({t}/)"))


def fill(pattern: str, it: str, rng: random.Random) -> str:
    text = pattern.replace("{swap}", SWAP).replace("{put}", PUT)
    while (m := CHOICE.search(text)) is not None:
        text = text[: m.start()] + rng.choice(m.group(1).split("/")) + text[m.end() :]
    while "{it}" in text or "{t}" in text:
        name = rng.choice(it.split("|"))
        text = text.replace("{it}", name, 1) if "{it}" in text else text.replace("{t}", name, 1)
    return re.sub(r"\s+", " ", text).strip()


def normal(text: str) -> str:
    return re.sub(r"[^a-z0-9\u4e00-\u9fff]+", " ", text.lower()).strip()


FORBIDDEN = {normal(text) for _, text in HELDOUT}


def noisy(text: str, rng: random.Random, keep: set[str]) -> str:
    """Casing, punctuation, a typing slip, a lost small word: the meaning stays."""
    words = text.split(" ")
    if len(words) > 3 and rng.random() < 0.15:
        at = rng.randrange(len(words))
        if words[at] in keep:
            del words[at]
    if rng.random() < 0.12:
        at = rng.randrange(len(words))
        w = words[at]
        if len(w) > 4:
            i = rng.randrange(1, len(w) - 1)
            slip = rng.random()
            if slip < 0.4:
                w = w[:i] + w[i + 1] + w[i] + w[i + 2 :] if i + 1 < len(w) else w
            elif slip < 0.7:
                w = w[:i] + w[i + 1 :]
            else:
                w = w[:i] + rng.choice(LETTERS) + w[i:]
            words[at] = w
    text = " ".join(words)
    case = rng.random()
    if case < 0.3:
        text = text[:1].upper() + text[1:]
    elif case < 0.36:
        text = text.upper()
    elif case < 0.4:
        text = text.title()
    return text + rng.choice(["", "", "", "", ".", ".", "!", "?", "...", " "])


SMALL = set(["a", "an", "the", "of", "in", "to", "on", "my", "this", "all", "it", "please", "can", "you", "could", "now", "just", "me", "for", "at", "is"])


def sample(name: str, rng: random.Random, chinese: float = 0.25) -> str:
    """One way to ask for the edit, never one of the held-out sentences."""
    en, zh = table(name)
    while True:
        if rng.random() < chinese:
            text = fill(rng.choice(zh), ZH_IT, rng)
            if rng.random() < 0.6:
                text = rng.choice(ZH_BEFORE.split("|")) + text + rng.choice(ZH_AFTER.split("|"))
            text += rng.choice(["", "", "。", "！", ""])
            clean = text
        else:
            clean = fill(rng.choice(en), IT, rng)
            if rng.random() < 0.5:
                clean = rng.choice(BEFORE.split("|")) + clean + rng.choice(AFTER.split("|"))
            text = noisy(clean, rng, SMALL)
        if normal(clean) not in FORBIDDEN and normal(text) not in FORBIDDEN:
            return text
