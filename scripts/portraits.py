"""Draw the seed characters' portraits: SVG, one hand, one style; then WebP by headless Chromium.

    python scripts/portraits.py src/troupe/core/seeds/avatars

A portrait is layers over a tinted ground: what stands behind, hair behind, shoulders, head, face,
hair before, and what is worn or held. Light falls from the left.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.async_api import async_playwright

SIZE = 512


@dataclass(frozen=True)
class Face:
    """What differs from one head to the next. Colours are hex; `age` adds lines."""

    skin: str = "#E8B995"
    shade: str = "#CF9A75"
    hair: str = "#3A2A22"
    brow: str = "#2B1F19"
    eye: str = "#33241C"
    lip: str = "#A8584A"
    smile: float = 6.0  # how far the corners of the mouth rise; negative falls
    lids: float = 0.45  # how much of the eye is covered
    age: int = 0
    wide: float = 82.0
    long: float = 104.0


@dataclass(frozen=True)
class Portrait:
    tint: str
    deep: str
    light: str
    face: Face
    behind: str = ""
    hair_back: str = ""
    coat: str = "#333"
    coat_dark: str = "#222"
    collar: str = ""
    hair_front: str = ""
    worn: str = ""
    head: Callable[[Face], str] | None = None


def path(d: str, fill: str, more: str = "") -> str:
    return f'<path d="{d}" fill="{fill}" {more}/>'


def stroke(d: str, colour: str, width: float = 5, more: str = "") -> str:
    return (
        f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{width}" '
        f'stroke-linecap="round" stroke-linejoin="round" {more}/>'
    )


def circle(x: float, y: float, r: float, fill: str, more: str = "") -> str:
    return f'<circle cx="{x}" cy="{y}" r="{r}" fill="{fill}" {more}/>'


def shoulders(p: Portrait) -> str:
    body = "M60 512 C64 430 120 392 196 376 L256 396 L316 376 C392 392 448 430 452 512 Z"
    dark = "M256 396 L316 376 C392 392 448 430 452 512 L256 512 Z"
    return path(body, p.coat) + path(dark, p.coat_dark) + p.collar


def human(f: Face) -> str:
    """Neck, ears, head with its shaded side, and the features."""
    w, h, cy = f.wide, f.long, 232
    left, right = 256 - w, 256 + w
    jaw = cy + h
    outline = (
        f"M{left} {cy - 30} C{left} {cy - h * 1.02} {right} {cy - h * 1.02} {right} {cy - 30} "
        f"C{right + 2} {cy + 44} {256 + w * 0.56} {jaw} 256 {jaw} "
        f"C{256 - w * 0.56} {jaw} {left - 2} {cy + 44} {left} {cy - 30} Z"
    )
    half = (
        f"M262 {cy - h} C{right - 10} {cy - h} {right} {cy - 80} {right} {cy - 30} "
        f"C{right + 2} {cy + 44} {256 + w * 0.56} {jaw} 256 {jaw} C300 {jaw - 40} 306 {cy - 20} 262 {cy - h} Z"
    )
    neck = path("M218 300 L218 372 Q256 412 294 372 L294 300 Z", f.shade)
    ears = "".join(
        f'<ellipse cx="{x}" cy="{cy + 4}" rx="14" ry="22" fill="{c}"/>'
        for x, c in ((left + 2, f.skin), (right - 2, f.shade))
    )
    return (
        neck + ears + path(outline, f.skin) + path(half, f.shade, 'opacity=".55"') + features(f, cy)
    )


def features(f: Face, cy: float) -> str:
    parts = []
    for side in (-1, 1):
        x, y = 256 + side * 36, cy + 2
        parts.append(
            path(
                f"M{x - 19} {y} Q{x} {y - 17} {x + 19} {y} Q{x} {y + 13} {x - 19} {y} Z", "#FBF6EE"
            )
        )
        parts.append(circle(x + 1, y - 1, 8.6, f.eye) + circle(x - 2, y - 4, 2.4, "#fff"))
        lid = 17 - 24 * f.lids
        parts.append(
            path(f"M{x - 21} {y} Q{x} {y - 22} {x + 21} {y} Q{x} {y - lid} {x - 21} {y} Z", f.shade)
        )
        parts.append(stroke(f"M{x - 20} {y} Q{x} {y - lid} {x + 20} {y}", f.brow, 4))
        parts.append(
            stroke(
                f"M{x - 23} {y - 25 + side * 1} Q{x} {y - 37} {x + 23} {y - 25 - side * 1}",
                f.brow,
                7,
            )
        )
    parts.append(
        stroke(
            f"M258 {cy + 8} Q246 {cy + 34} 250 {cy + 40} Q258 {cy + 46} 267 {cy + 40}", f.shade, 5
        )
    )
    my = cy + 66
    parts.append(
        stroke(f"M228 {my - f.smile} Q256 {my + f.smile + 6} 284 {my - f.smile}", f.lip, 6)
    )
    if f.age > 0:
        parts.append(
            stroke(
                f"M212 {cy + 44} Q206 {cy + 60} 212 {cy + 72} M300 {cy + 44} Q306 {cy + 60} 300 {cy + 72}",
                f.shade,
                3.5,
            )
        )
    if f.age > 1:
        parts.append(
            stroke(
                f"M222 {cy - 62} Q256 {cy - 70} 290 {cy - 62} M230 {cy - 76} Q256 {cy - 82} 282 {cy - 76}",
                f.shade,
                3.5,
            )
        )
        parts.append(stroke(f"M186 {cy + 20} l-8 8 M326 {cy + 20} l8 8", f.shade, 3.5))
    return "".join(parts)


def brass(_: Face) -> str:
    """A clockwork head."""
    rivets = "".join(circle(x, y, 5, "#6B4F1D") for x in (186, 326) for y in (166, 300))
    eyes = "".join(
        circle(x, 232, 34, "#6B4F1D")
        + circle(x, 232, 27, "#FFE9A8")
        + circle(x, 232, 13, "#7FD0C4")
        + circle(x - 5, 227, 4, "#fff")
        for x in (214, 298)
    )
    grille = "".join(stroke(f"M{x} 292 v24", "#6B4F1D", 5) for x in range(226, 290, 12))
    return (
        path("M226 330 h60 v50 h-60 z", "#8D6B2B")
        + '<rect x="166" y="142" width="180" height="196" rx="56" fill="#D0A24A"/>'
        + path("M256 142 h34 a56 56 0 0 1 56 56 v84 a56 56 0 0 1 -56 56 h-34 z", "#B2842F")
        + rivets
        + eyes
        + grille
        + stroke("M196 186 Q214 176 232 186 M280 186 Q298 176 316 186", "#6B4F1D", 7)
    )


def svg(p: Portrait) -> str:
    head = (p.head or human)(p.face)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" width="{SIZE}" height="{SIZE}">'
        f'<defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="{p.light}"/>'
        f'<stop offset="1" stop-color="{p.tint}"/></linearGradient></defs>'
        f'<rect width="{SIZE}" height="{SIZE}" fill="url(#g)"/>'
        + p.behind
        + p.hair_back
        + shoulders(p)
        + head
        + p.hair_front
        + p.worn
        + "</svg>"
    )


def _stars(points: list[tuple[int, int, float]], colour: str = "#FFF3D0") -> str:
    return "".join(circle(x, y, r, colour, 'opacity=".9"') for x, y, r in points)


PORTRAITS: dict[str, Portrait] = {
    "mira-vale": Portrait(
        "#2F6F8F", "#17394B", "#A9D3DF",
        Face(skin="#E9BE9C", shade="#CC9873", hair="#5A3A29", brow="#4A2F22", smile=4, lids=0.5, age=1),
        behind=path("M0 360 Q120 340 256 362 T512 356 V512 H0 Z", "#235A76")
        + path("M392 120 h44 l16 250 h-76 z", "#F4EDE2") + path("M398 176 h32 l4 44 h-40 z", "#D9482B")
        + path("M384 96 h60 v26 h-60 z", "#17394B") + path("M414 70 l32 26 h-64 z", "#D9482B")
        + path("M384 100 L120 40 V150 Z", "#FFF3C4", 'opacity=".55"'),
        hair_back=path("M166 220 C150 120 210 96 256 96 C310 96 362 124 346 226 C352 300 330 352 312 372 L200 372 C178 346 160 300 166 220 Z", "#4A2F22"),
        coat="#E0B23C", coat_dark="#C4942A",
        collar=path("M196 376 L256 430 L228 470 L176 392 Z", "#C4942A") + path("M316 376 L256 430 L284 470 L336 392 Z", "#A97D1F"),
        hair_front=path("M172 226 C164 150 206 122 256 122 C312 122 348 152 340 226 C330 186 306 164 268 160 C232 178 190 178 172 226 Z", "#5A3A29"),
        worn=path("M164 168 C168 96 214 78 256 78 C300 78 346 98 348 168 C300 146 214 146 164 168 Z", "#24465C")
        + path("M160 166 C214 140 300 140 352 166 L350 188 C300 162 212 162 162 188 Z", "#17394B"),
    ),
    "bram-tiller": Portrait(
        "#9A4A2A", "#4A2113", "#F0B98C",
        Face(skin="#D99F78", shade="#B97C56", hair="#C9C2B8", brow="#A79F94", eye="#2E4A57", smile=9, lids=0.4, age=2, wide=88),
        behind=circle(404, 110, 54, "#FFD9A0") + path("M0 400 Q90 376 180 400 T360 400 T540 396 V512 H0 Z", "#7C3418"),
        coat="#2C3E57", coat_dark="#1F2D41",
        collar=path("M196 376 L256 440 L238 512 H196 L168 390 Z", "#8C2F22") + path("M316 376 L256 440 L274 512 H316 L344 390 Z", "#6E2219")
        + "".join(circle(x, y, 8, "#E3B84A") for x, y in ((222, 480), (290, 480))),
        hair_front=path("M170 256 C172 330 206 392 256 398 C306 392 340 330 342 256 C330 286 308 284 290 282 C270 276 242 276 222 282 C204 284 182 286 170 256 Z", "#D8D2C8")
        + path("M256 398 C306 392 340 330 342 256 C330 286 308 284 290 282 C278 278 268 277 258 277 Z", "#B8B0A4")
        + stroke("M230 306 Q256 322 284 306", "#8A4A3C", 6)
        + path("M214 288 Q256 262 298 288 Q276 296 256 288 Q236 296 214 288 Z", "#C9C2B8"),
        worn=path("M120 178 C150 92 210 60 256 60 C304 60 362 92 392 178 C340 150 300 142 256 142 C212 142 172 150 120 178 Z", "#2A1A14")
        + path("M120 178 C172 150 212 142 256 142 C300 142 340 150 392 178 L384 190 C330 164 300 158 256 158 C212 158 182 164 128 190 Z", "#E3B84A")
        + circle(166, 268, 9, "none", 'stroke="#E3B84A" stroke-width="5"'),
    ),
    "odile-ferrant": Portrait(
        "#4B4E9E", "#1F2150", "#2E3172",
        Face(skin="#8C5A3E", shade="#6E432C", hair="#D9D5DE", brow="#3B241A", eye="#1E120C", lip="#6B2E2A", smile=4, lids=0.5, age=1, wide=76),
        behind=_stars([(70, 80, 3), (130, 40, 2), (420, 70, 4), (460, 150, 2.5), (60, 190, 2), (380, 40, 2), (110, 130, 2.5), (446, 250, 2), (50, 300, 2.5)])
        + stroke("M420 70 L460 150 L446 250", "#FFF3D0", 1.5, 'opacity=".6"') + path("M430 60 l4 -18 l4 18 l18 4 l-18 4 l-4 18 l-4 -18 l-18 -4 z", "#FFF3D0"),
        hair_back=circle(256, 96, 58, "#C6C1CE") + circle(246, 90, 46, "#D9D5DE"),
        coat="#2B2A5A", coat_dark="#211F47",
        collar=path("M200 372 Q256 430 312 372 L322 398 Q256 462 190 398 Z", "#F3ECDD") + circle(256, 440, 12, "#E3B84A"),
        hair_front=path("M176 226 C168 150 208 116 256 116 C308 116 344 150 336 226 C326 170 300 150 256 148 C212 150 186 170 176 226 Z", "#D9D5DE")
        + path("M256 116 C308 116 344 150 336 226 C326 170 300 150 256 148 Z", "#BDB7C6"),
        worn=circle(220, 234, 27, "none", 'stroke="#E3B84A" stroke-width="4.5"') + circle(292, 234, 27, "none", 'stroke="#E3B84A" stroke-width="4.5"')
        + stroke("M247 232 Q256 226 265 232", "#E3B84A", 4.5) + stroke("M319 234 Q350 260 338 330", "#E3B84A", 2.5),
    ),
    "juniper": Portrait(
        "#3E7D4A", "#1E4226", "#CFE3A8",
        Face(skin="#F2C9A6", shade="#DDA37C", hair="#B5482A", brow="#8A3319", eye="#2F6B3C", lip="#C2574C", smile=11, lids=0.35, wide=80),
        behind="".join(path(f"M{x} 512 Q{x - 40} 380 {x + 6} 250 Q{x + 50} 380 {x + 12} 512 Z", c) for x, c in ((40, "#5E9C5B"), (110, "#4A8A50"), (400, "#4A8A50"), (470, "#5E9C5B"))),
        hair_back=path("M160 220 C120 300 130 400 96 450 C150 452 186 430 200 390 L312 390 C326 430 362 452 416 450 C382 400 392 300 352 220 C340 120 172 120 160 220 Z", "#8F3A20"),
        coat="#6C4A7D", coat_dark="#563A65",
        collar=path("M188 378 Q256 424 324 378 L338 404 Q256 456 174 404 Z", "#E9D9A8"),
        hair_front=path("M168 250 C160 160 200 124 256 124 C314 124 352 160 344 250 C334 200 316 176 290 162 C262 190 196 190 168 250 Z", "#B5482A"),
        worn=path("M98 176 C170 140 340 140 414 176 C340 196 172 196 98 176 Z", "#3A2A4A")
        + path("M172 164 C200 90 246 66 300 26 C306 70 326 110 340 164 C300 150 214 150 172 164 Z", "#4A3760")
        + path("M174 158 C220 144 296 144 339 158 L341 172 C296 156 216 156 170 172 Z", "#D9A441")
        + "".join(circle(x, y, 7, c) for x, y, c in ((200, 158, "#F2C3D0"), (214, 152, "#fff"), (190, 168, "#F7E08C"))),
    ),
    "tock": Portrait(
        "#8A6A2F", "#46340F", "#EAD7A2",
        Face(),
        behind="".join(f'<rect x="{x}" y="{y}" width="{w}" height="90" rx="4" fill="{c}"/>' for x, y, w, c in (
            (16, 60, 26, "#7C3B2E"), (46, 50, 22, "#3F5D57"), (72, 66, 30, "#5B4A77"), (106, 56, 20, "#A8762C"),
            (384, 60, 24, "#3F5D57"), (412, 52, 30, "#7C3B2E"), (446, 66, 22, "#A8762C"), (472, 56, 26, "#5B4A77"),
            (16, 196, 30, "#5B4A77"), (50, 206, 22, "#A8762C"), (76, 196, 26, "#7C3B2E"),
            (404, 200, 28, "#5B4A77"), (436, 206, 20, "#3F5D57"), (460, 196, 30, "#7C3B2E")))
        + '<rect x="0" y="150" width="512" height="12" fill="#6B4F1D"/><rect x="0" y="290" width="512" height="12" fill="#6B4F1D"/>',
        coat="#A37A34", coat_dark="#876124",
        collar=path("M216 384 L256 404 L296 384 L300 424 L256 408 L212 424 Z", "#7A1F2B") + circle(256, 404, 10, "#5E151F")
        + circle(256, 470, 26, "#F6EBCB") + stroke("M256 470 V454 M256 470 L268 476", "#46340F", 4),
        worn='<rect x="346" y="220" width="30" height="14" fill="#8D6B2B"/>' + circle(392, 227, 20, "none", 'stroke="#8D6B2B" stroke-width="9"')
        + stroke("M256 142 V108", "#8D6B2B", 8) + circle(256, 98, 13, "#E8C46C"),
        head=brass,
    ),
    "kaito-mori": Portrait(
        "#B0482F", "#4F1C10", "#F3C08A",
        Face(skin="#E2B48A", shade="#C08F66", hair="#1F1B1B", brow="#1A1616", eye="#1A1212", lip="#9A5547", smile=1, lids=0.7, age=1, wide=84),
        behind="".join(f'<ellipse cx="{x}" cy="96" rx="38" ry="48" fill="#D9482B"/><rect x="{x - 16}" y="44" width="32" height="8" fill="#2A1A14"/>'
                       f'<rect x="{x - 16}" y="140" width="32" height="8" fill="#2A1A14"/>' for x in (80, 432))
        + stroke("M0 40 H512", "#2A1A14", 5),
        hair_back=path("M168 230 C158 140 206 104 256 104 C308 104 354 140 344 230 Z", "#1F1B1B"),
        coat="#F1EADD", coat_dark="#D8CFBE",
        collar=path("M196 376 L270 470 L250 512 H214 L170 392 Z", "#FBF7EF") + path("M316 376 L236 478 L254 512 H300 L342 392 Z", "#C9BFAC"),
        hair_front=path("M176 214 C176 176 186 160 200 152 L312 152 C326 160 336 176 336 214 C328 186 316 176 300 172 L212 172 C196 176 184 186 176 214 Z", "#1F1B1B")
        + stroke("M228 322 Q256 332 284 322", "#5A4A42", 5, 'opacity=".55"'),
        worn=path("M166 176 C190 152 322 152 346 176 L344 204 C318 180 194 180 168 204 Z", "#F7F3EA") + circle(256, 176, 13, "#D9482B")
        + path("M344 184 l34 -14 l-8 22 l16 14 l-40 -4 z", "#F7F3EA"),
    ),
    "sable-duval": Portrait(
        "#7A2E4D", "#2A0D1B", "#3C1A3A",
        Face(skin="#EFE3DF", shade="#CDB7BC", hair="#15101A", brow="#15101A", eye="#8E1F33", lip="#8E1F33", smile=3, lids=0.6, wide=74, long=110),
        behind=circle(396, 116, 62, "#F3E6D0") + circle(376, 104, 56, "#5A2548", 'opacity=".35"')
        + path("M84 132 q16 -18 30 0 q6 -8 12 0 q14 -18 30 0 q-22 -4 -30 14 q-6 -6 -12 0 q-8 -18 -30 -14 z", "#15101A"),
        hair_back=path("M164 210 C140 300 150 420 120 500 L210 512 L302 512 L392 500 C362 420 372 300 348 210 C340 100 172 100 164 210 Z", "#15101A"),
        coat="#4A1230", coat_dark="#380B23",
        collar=path("M196 376 L120 330 L150 470 L256 512 Z", "#8E1F33") + path("M316 376 L392 330 L362 470 L256 512 Z", "#6E1526")
        + path("M256 420 l14 18 l-14 24 l-14 -24 z", "#D9324A") + stroke("M210 386 Q256 440 302 386", "#E3B84A", 3),
        hair_front=path("M178 262 C160 160 200 112 256 130 C312 112 352 160 334 262 C330 200 304 170 256 146 C208 170 182 200 178 262 Z", "#15101A")
        + stroke("M212 128 Q236 116 256 132", "#3A2B45", 4),
        worn=path("M241 309 l5 11 l5 -10 z M263 310 l5 10 l5 -11 z", "#fff"),
    ),
    "ines-carrow": Portrait(
        "#3C5560", "#16242B", "#9FB4B8",
        Face(skin="#C98F68", shade="#A66F4B", hair="#241A17", brow="#1E1512", eye="#241812", lip="#8E3B3B", smile=2, lids=0.62, wide=76),
        behind="".join(f'<rect x="{x}" y="0" width="30" height="512" fill="#7F979C" opacity=".35" transform="skewX(-12)"/>' for x in (120, 220, 320, 420, 520)),
        hair_back=path("M166 226 C160 130 210 104 256 104 C306 104 352 130 346 226 C352 280 346 316 334 330 L178 330 C166 316 160 280 166 226 Z", "#241A17"),
        coat="#B79A6A", coat_dark="#98794C",
        collar=path("M196 376 L256 452 L216 500 L150 392 L176 352 Z", "#C9AD7E") + path("M316 376 L256 452 L296 500 L362 392 L336 352 Z", "#A98A5B")
        + path("M222 392 L256 440 L290 392 L256 410 Z", "#1D2B33"),
        hair_front=path("M174 250 C166 160 206 126 256 126 C308 126 346 160 338 250 C334 226 326 200 312 184 C270 186 214 178 196 172 C184 196 178 226 174 250 Z", "#241A17"),
        worn=path("M112 172 C180 138 332 138 400 172 C336 190 176 190 112 172 Z", "#26343B")
        + path("M170 160 C172 96 204 76 256 84 C308 76 340 96 342 160 C300 148 212 148 170 160 Z", "#31444D")
        + path("M170 150 C214 136 298 136 342 150 L342 164 C298 150 214 150 170 164 Z", "#16242B"),
    ),
    "pip-emberly": Portrait(
        "#C2622B", "#5E2510", "#FBD9A0",
        Face(skin="#F3CDA4", shade="#DBA575", hair="#D9662B", brow="#A8451B", eye="#B5701C", lip="#B0553F", smile=13, lids=0.5, wide=76, long=100),
        behind="".join(path(f"M{x} {y} l8 -18 l6 14 l16 -8 l-6 16 l16 6 l-18 8 l2 16 l-14 -10 l-12 12 l0 -18 l-16 -2 z", c) for x, y, c in
                       ((70, 110, "#D9482B"), (420, 90, "#B83A1E"), (440, 230, "#D9482B"), (50, 260, "#E88A3A"), (120, 50, "#E88A3A"), (380, 330, "#E88A3A"))),
        hair_back=path("M168 150 L150 40 L236 108 Z", "#D9662B") + path("M344 150 L362 40 L276 108 Z", "#BE5420")
        + path("M176 134 L164 70 L216 110 Z", "#5E2510") + path("M336 134 L348 70 L296 110 Z", "#4A1C0B")
        + path("M164 236 C150 130 206 100 256 100 C306 100 362 130 348 236 L330 320 H182 Z", "#BE5420"),
        coat="#E0752E", coat_dark="#C25F1F",
        collar=path("M196 376 L262 468 L232 512 H190 L164 392 Z", "#FBE3B8") + path("M316 376 L244 480 L262 512 H322 L348 392 Z", "#EBC98E")
        + path("M70 512 C60 440 20 420 30 350 C60 380 110 400 120 470 L118 512 Z", "#D9662B") + path("M30 350 C24 376 30 396 44 414 L56 380 Z", "#FFF3E0"),
        hair_front=path("M172 244 C160 160 200 118 256 120 C312 118 352 160 340 244 L320 196 L304 214 L284 178 L262 208 L240 176 L222 210 L200 188 Z", "#D9662B"),
        worn=stroke("M196 268 l-30 -4 M198 280 l-30 6 M316 268 l30 -4 M314 280 l30 6", "#B5541F", 4),
    ),
    "orla-quick": Portrait(
        "#5B4FA8", "#1B1540", "#2A2160",
        Face(skin="#A9704C", shade="#875334", hair="#2B1A2E", brow="#20131F", eye="#1E120C", lip="#8E4038", smile=6, lids=0.5, wide=78),
        behind=circle(256, 210, 190, "#10102C") + circle(256, 210, 190, "none", 'stroke="#8F8AB8" stroke-width="16"')
        + _stars([(140, 120, 2.5), (180, 70, 2), (350, 100, 3), (390, 180, 2), (120, 230, 2), (400, 260, 2.5), (320, 60, 2)])
        + circle(376, 130, 22, "#E88A5A"),
        hair_back=circle(190, 170, 58, "#2B1A2E") + circle(322, 170, 58, "#22132A") + circle(256, 130, 74, "#2B1A2E") + circle(176, 226, 40, "#2B1A2E") + circle(336, 226, 40, "#22132A"),
        coat="#D97A2B", coat_dark="#B9621C",
        collar=path("M196 376 L256 416 L316 376 L326 404 L256 450 L186 404 Z", "#3A3560") + '<rect x="252" y="440" width="8" height="72" fill="#8F8AB8"/>'
        + '<rect x="120" y="450" width="76" height="40" rx="6" fill="#F3ECDD"/>' + stroke("M132 464 h50 M132 476 h34", "#8F5A2B", 4),
        hair_front=path("M178 222 C176 160 210 132 256 132 C304 132 338 160 334 222 C322 190 300 172 256 170 C212 172 190 190 178 222 Z", "#2B1A2E"),
        worn='<rect x="170" y="140" width="172" height="40" rx="16" fill="#3A3F4A"/>' + circle(216, 160, 25, "#8FE0D8") + circle(296, 160, 25, "#6BC4C0")
        + circle(216, 160, 25, "none", 'stroke="#C9CDD6" stroke-width="6"') + circle(296, 160, 25, "none", 'stroke="#A9ADB8" stroke-width="6"')
        + stroke("M204 150 l12 -8 M284 150 l12 -8", "#fff", 4) + stroke("M306 282 l18 8 M300 292 l14 8", "#3B241A", 5, 'opacity=".6"'),
    ),
    "brother-anselm": Portrait(
        "#7D6B3A", "#3A3014", "#F1E2AE",
        Face(skin="#E6B894", shade="#C6936E", hair="#EDE7DA", brow="#D9D0BF", eye="#4A5A63", lip="#A8604F", smile=9, lids=0.6, age=2, wide=86),
        behind=path("M0 420 Q130 380 256 410 T512 400 V512 H0 Z", "#9AA65A")
        + path("M380 240 h96 l10 150 h-116 z", "#C99A45") + stroke("M374 280 h108 M372 320 h112 M370 360 h116", "#A5782C", 5) + circle(428, 366, 11, "#3A3014")
        + "".join(f'<g transform="translate({x} {y})"><ellipse rx="11" ry="8" fill="#E3B23C"/><path d="M-3 -8 v16 M4 -7 v14" stroke="#3A3014" stroke-width="3.5"/>'
                  f'<ellipse cx="-2" cy="-10" rx="8" ry="5" fill="#fff" opacity=".85"/></g>' for x, y in ((90, 120), (420, 140), (60, 250), (370, 90), (452, 208))),
        hair_back=path("M162 262 C150 180 176 140 206 130 L306 130 C336 140 362 180 350 262 Z", "#D9D0BF"),
        coat="#6B4A2E", coat_dark="#553922",
        collar=path("M188 366 C150 376 140 410 150 440 C210 470 302 470 362 440 C372 410 362 376 324 366 C310 410 202 410 188 366 Z", "#7D5836")
        + path("M256 404 C290 402 316 392 324 366 C362 376 372 410 362 440 C330 456 292 462 256 462 Z", "#664525"),
        hair_front=path("M172 258 C176 340 214 372 256 374 C298 372 336 340 340 258 C332 300 308 304 286 298 C266 292 246 292 226 298 C204 304 180 300 172 258 Z", "#F4EFE4")
        + path("M256 374 C298 372 336 340 340 258 C332 300 308 304 286 298 C276 295 266 294 256 294 Z", "#DCD4C4")
        + stroke("M232 314 Q256 330 280 314", "#A8604F", 6),
    ),
    "noor-haddad": Portrait(
        "#2E7A74", "#123B38", "#F0D9A6",
        Face(skin="#C68A5E", shade="#A46B42", hair="#1E1614", brow="#1E1614", eye="#2A1A10", lip="#A04A3F", smile=9, lids=0.45, age=1, wide=76),
        behind=circle(110, 120, 56, "#E88A3A") + path("M0 380 Q140 300 280 372 T512 340 V512 H0 Z", "#D9A85A") + path("M0 430 Q160 370 320 420 T512 410 V512 H0 Z", "#C48F44"),
        hair_back=path("M158 230 C140 110 206 84 256 84 C306 84 372 110 354 230 C362 320 372 380 350 420 L162 420 C140 380 150 320 158 230 Z", "#256660"),
        coat="#2E7A74", coat_dark="#256660",
        collar=path("M170 360 C200 400 312 400 342 360 C376 392 370 440 330 452 C280 470 232 470 182 452 C142 440 136 392 170 360 Z", "#3B918A")
        + path("M256 390 C300 390 326 380 342 360 C376 392 370 440 330 452 C306 460 282 464 256 464 Z", "#2F7B75"),
        hair_front=path("M176 214 C180 160 214 136 256 136 C300 136 334 160 336 214 C316 176 290 162 256 162 C222 164 196 180 176 214 Z", "#1E1614"),
        worn=path("M160 240 C146 124 206 92 256 92 C306 92 366 124 352 240 C346 168 312 138 256 138 C200 138 166 168 160 240 Z", "#3B918A")
        + path("M256 92 C306 92 366 124 352 240 C346 168 312 138 256 138 Z", "#2F7B75")
        + stroke("M172 176 Q200 118 256 116 Q312 118 340 176", "#E3B84A", 4) + circle(256, 118, 8, "#D9482B")
        + circle(178, 276, 6, "#E3B84A") + circle(334, 276, 6, "#E3B84A"),
    ),
}  # fmt: skip


async def draw(folder: Path) -> None:
    """Write SLUG.svg and SLUG.webp for every portrait."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = await browser.new_page(viewport={"width": SIZE, "height": SIZE})
        for slug, portrait in PORTRAITS.items():
            text = svg(portrait)
            (folder / f"{slug}.svg").write_text(text + "\n")
            await page.set_content(f'<body style="margin:0">{text}</body>')
            picture = await page.screenshot(type="png")
            _webp(picture, folder / f"{slug}.webp")
        await browser.close()


def _webp(png: bytes, target: Path) -> None:
    Image.open(io.BytesIO(png)).convert("RGB").save(target, "WEBP", quality=88, method=6)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(draw(target))
