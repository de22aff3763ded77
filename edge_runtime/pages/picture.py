"""Pictures within a page, as `data:` addresses; for those too who write pages without templates."""

import base64

import cv2

from edge_runtime.contracts.frame import Pixels


def jpeg(pixels: Pixels, side: int | None = None, quality: int = 85) -> str:
    """An image (height, width, 3) as a `data:` address, its longer side at most `side` pixels."""
    longer = max(pixels.shape[:2])
    if side is not None and longer > side:
        height, width = (max(1, round(edge * side / longer)) for edge in pixels.shape[:2])
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return embedded(data.tobytes(), "image/jpeg")


def embedded(data: bytes, media_type: str) -> str:
    """A file's bytes as a `data:` address."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
