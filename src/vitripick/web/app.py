"""Answer the page's requests: each route parses one and calls the library; errors are `{"error": "message"}`."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from vitripick.errors import InputError, NotFoundError, UsageError, VitripickError
from vitripick.json_toml import parse_json
from vitripick.settings.wording import problems
from vitripick.version import VERSION
from vitripick.web.connections import Connections
from vitripick.web.job import EFFORTS
from vitripick.web.limits import REJECTED_BOXES, picks_json
from vitripick.web.listing import listed, project_json, sheet_json
from vitripick.web.previews import Filter
from vitripick.web.project import Entry
from vitripick.web.public_url import PublicUrl
from vitripick.web.requests import (
    ClassesRequest,
    EditRequest,
    ExportRequest,
    FlagRequest,
    PickRequest,
    Request,
    SettingsRequest,
    StepRequest,
    TrainRequest,
)
from vitripick.web.security import Door, Guard, refused
from vitripick.web.session import Session
from vitripick.web.sheet import Sheet, StaleError
from vitripick.web.transfer import zip_of_export

STATIC = Path(__file__).parent / "static"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

Body = TypeVar("Body", bound=Request)


def make_app(
    session: Session, *, door: Door, host: str, connections: Connections, public: PublicUrl | None = None
) -> Starlette:
    """Return the server of one open project."""
    pages = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.suffix in _MEDIA_TYPES}
    api = _Api(session)

    async def static(request: HttpRequest) -> Response:
        # The name is only looked up among the existing files and never joined to a path, so it cannot leave the folder.
        path = pages.get(request.path_params.get("name", "index.html"))
        if path is None:
            return refused(404, "there is no such page.")
        return FileResponse(path, media_type=_MEDIA_TYPES[path.suffix], headers={"Cache-Control": "no-cache"})

    def get(path: str, answer: Callable[[HttpRequest], Any]) -> Route:
        return Route(path, _answering(answer), methods=["GET"])

    def post(path: str, kind: type[Body], act: Callable[[HttpRequest, Body], Any]) -> Route:
        return Route(path, _acting(kind, act), methods=["POST"])

    one = "/api/micrographs/{id}"
    routes = [
        Route("/", static),
        Route("/static/{name:path}", static),
        get("/api/project", api.project),
        get("/api/status", api.status),
        get(one, api.micrograph),
        get(one + "/image", api.image),
        get(one + "/spectrum", api.spectrum),
        get(one + "/tiles/{column:int}/{row:int}", api.tile),
        get("/api/picks/{set}", api.histograms),
        get("/api/picks/{set}/curve", api.curve),
        get("/api/picks/{set}/counts", api.counts),
        get("/api/picks/{set}/ranking", api.ranking),
        get("/api/montage", api.montage),
        get("/api/picks/{set}/{id}", api.picks),
        get("/api/classes/{set}", api.classes),
        get("/api/classes/{set}/averages", api.averages),
        get("/api/runs/{run}/curves", api.run_curves),
        get("/api/exports/{name}", api.download),
        post(one + "/seen", Request, api.see),
        post(one + "/edit", EditRequest, api.edit),
        post(one + "/undo", StepRequest, api.undo),
        post(one + "/redo", StepRequest, api.redo),
        post(one + "/flag", FlagRequest, api.flag),
        post("/api/settings", SettingsRequest, api.settings),
        post("/api/train", TrainRequest, api.train),
        post("/api/pick", PickRequest, api.pick),
        post("/api/classes/{set}", ClassesRequest, api.sort),
        post("/api/classes/{set}/teach", Request, api.teach),
        post("/api/stop", Request, api.stop),
        post("/api/runs/{run}/resume", Request, api.resume),
        post("/api/export/preview", ExportRequest, api.preview),
        post("/api/export", ExportRequest, api.export),
        Route("/api/import", api.import_labels, methods=["POST"]),
    ]
    guard = Middleware(
        Guard, door=door, host=host, connections=connections, read_only=session.project.read_only, public=public
    )
    return Starlette(
        routes=routes,
        middleware=[guard, Middleware(GZipMiddleware, minimum_size=20_000, compresslevel=1)],
        exception_handlers={404: _not_found, 405: _not_found},
    )


class _Api:
    """Does the work of each route in a plain method; the routes call these methods in a thread."""

    def __init__(self, session: Session) -> None:
        self.s = session

    def project(self, request: HttpRequest) -> dict[str, Any]:
        return {
            **project_json(self.s.project),
            "version": VERSION,
            "formats": self.s.exchange.formats(),
            "efforts": {name: {"steps": effort.steps} for name, effort in EFFORTS.items()},
            "rejected_boxes": REJECTED_BOXES,
            "changes": self.s.project.changes,
            **self._status(),
        }

    def status(self, request: HttpRequest) -> dict[str, Any]:
        # The page asks for the status all the time, so the machine's description can come with a later answer.
        self.s.jobs.describe_machine()
        since = request.query_params.get("since", "")
        return {**self._status(), **(self._missed(int(since)) if since.isdecimal() and len(since) < 16 else {})}

    def micrograph(self, request: HttpRequest) -> dict[str, Any]:
        entry = self._entry(request)
        return sheet_json(self.s.project, entry, self.s.sheets.get(entry))

    def image(self, request: HttpRequest) -> Response:
        entry = self._entry(request)
        return _jpeg(self.s.previews.whole(entry, _filter(request)))

    def tile(self, request: HttpRequest) -> Response:
        column, row = request.path_params["column"], request.path_params["row"]
        return _jpeg(self.s.previews.tile(self._entry(request), _filter(request), column, row))

    def spectrum(self, request: HttpRequest) -> Response:
        return _jpeg(self.s.previews.spectrum(self._entry(request)))

    def histograms(self, request: HttpRequest) -> dict[str, Any]:
        return self.s.pick_sets.histograms(request.path_params["set"])

    def counts(self, request: HttpRequest) -> dict[str, Any]:
        try:
            threshold = float(request.query_params.get("threshold", ""))
        except ValueError:
            threshold = math.nan
        if not 0 <= threshold <= 1:
            raise UsageError("a threshold is a number from 0 to 1.")
        return {"threshold": threshold, "counts": self.s.pick_sets.counts(request.path_params["set"], threshold)}

    def curve(self, request: HttpRequest) -> dict[str, Any]:
        return self.s.pick_sets.curve(request.path_params["set"])

    def picks(self, request: HttpRequest) -> dict[str, Any]:
        pick_set, entry = request.path_params["set"], self._entry(request)
        if self.s.lines is not None:
            return self.s.lines.described(pick_set, entry)
        picks = self.s.pick_sets.picks(pick_set, entry)
        key, numbers = ("", None) if picks is None else self.s.classes.numbers(pick_set, entry, picks)
        return {
            "picks": None if picks is None else picks_json(picks),
            "box_size_px": self.s.pick_sets.box_size_px(pick_set, entry),
            "class_key": key,
            "classes": None if numbers is None else numbers.tolist(),
        }

    def classes(self, request: HttpRequest) -> dict[str, Any]:
        return self.s.classes.described(request.path_params["set"])

    def averages(self, request: HttpRequest) -> Response:
        return _jpeg(self.s.classes.picture(request.path_params["set"]))

    def ranking(self, request: HttpRequest) -> dict[str, Any]:
        best = request.query_params.get("order", "best") != "worst"
        return self.s.montage.ranking(request.path_params["set"], best=best)

    def montage(self, request: HttpRequest) -> Response:
        query, particles = request.query_params, []
        try:
            side = int(query.get("side", "128"))
            for row in query.get("places", "").split(";"):
                name, x, y = row.split(",")
                particles.append((self._named(name), float(x), float(y), 0.0))
        except ValueError:
            raise UsageError("this request cannot be understood: places are id,x,y;id,x,y;…") from None
        if not all(math.isfinite(value) and abs(value) < 1e6 for _, x, y, _ in particles for value in (x, y)):
            raise UsageError("a place must be a pair of finite numbers.")
        return _jpeg(self.s.montage.sheet(particles, _filter(request), side_px=side))

    def run_curves(self, request: HttpRequest) -> dict[str, Any]:
        run = self.s.jobs.run(request.path_params["run"])
        return {"rows": self.s.jobs.curves(run.id)}

    def see(self, request: HttpRequest, body: Request) -> dict[str, Any]:
        entry = self._entry(request)
        with self.s.project.lock:
            self.s.project.see(entry)
        return {"row": listed(entry)}

    def edit(self, request: HttpRequest, body: EditRequest) -> dict[str, Any]:
        entry = self._entry(request)
        sheet = self.s.sheets.edit(entry, body)
        # The page shows the edit already, so the answer only confirms that it is on the disk.
        # An edit that was written earlier may stand before others in the log: then the page must ask for all of them.
        behind = sheet.revision > body.revision + (2 if body.revision == 0 else 1)
        return {**self._saved(entry, sheet), "revision": sheet.revision, "behind": behind}

    def undo(self, request: HttpRequest, body: StepRequest) -> dict[str, Any]:
        entry = self._entry(request)
        sheet = self.s.sheets.step(entry, body.revision, "undo")
        return {**self._saved(entry, sheet), **sheet.to_json()}

    def redo(self, request: HttpRequest, body: StepRequest) -> dict[str, Any]:
        entry = self._entry(request)
        sheet = self.s.sheets.step(entry, body.revision, "redo")
        return {**self._saved(entry, sheet), **sheet.to_json()}

    def flag(self, request: HttpRequest, body: FlagRequest) -> dict[str, Any]:
        entry = self._entry(request)
        self.s.sheets.flag(entry, body.flag)
        return {"row": listed(entry)}

    def settings(self, request: HttpRequest, body: SettingsRequest) -> dict[str, Any]:
        project = self.s.project
        if body.pick_set is not None:
            self.s.pick_sets.named(body.pick_set)
        with project.lock:
            before = project.settings.box_size_px
            project.change(body)
            if project.settings.box_size_px != before:
                self.s.sheets.resize()
        return {"settings": project.settings.model_dump()}

    def train(self, request: HttpRequest, body: TrainRequest) -> dict[str, Any]:
        self.s.starter.train(body)
        return self._status()

    def pick(self, request: HttpRequest, body: PickRequest) -> dict[str, Any]:
        self.s.starter.pick(body)
        return self._status()

    def sort(self, request: HttpRequest, body: ClassesRequest) -> dict[str, Any]:
        self.s.jobs.refuse_if_busy()
        self.s.jobs.start(*self.s.classes.job(request.path_params["set"], body))
        return self._status()

    def teach(self, request: HttpRequest, body: Request) -> dict[str, Any]:
        return self.s.classes.teach(request.path_params["set"])

    def stop(self, request: HttpRequest, body: Request) -> dict[str, Any]:
        self.s.jobs.stop()
        return self._status()

    def resume(self, request: HttpRequest, body: Request) -> dict[str, Any]:
        self.s.starter.resume(request.path_params["run"])
        return self._status()

    def preview(self, request: HttpRequest, body: ExportRequest) -> dict[str, Any]:
        return self.s.exchange.preview(body)

    def export(self, request: HttpRequest, body: ExportRequest) -> dict[str, Any]:
        with self.s.project.lock:
            return self.s.exchange.export(body)

    def download(self, request: HttpRequest) -> Response:
        pieces = zip_of_export(self.s.project, request.path_params["name"])
        # It is packed already. "identity" makes the middleware leave it alone.
        return StreamingResponse(pieces, media_type="application/zip", headers={"Content-Encoding": "identity"})

    async def import_labels(self, request: HttpRequest) -> Response:
        data = await request.body()
        name = request.query_params.get("name", "")
        batch = request.query_params.get("picks")
        if batch is not None:
            return await _response_of(lambda: self.s.dropped.add(batch, name, data))
        return await _response_of(lambda: self.s.exchange.import_bytes(name, data))

    def _status(self) -> dict[str, Any]:
        session = self.s
        progress = session.jobs.progress
        return {
            "job": None if progress is None else progress.to_json(),
            "machine": session.jobs.machine,
            "runs": [run.to_json() for run in session.jobs.all_runs()],
            "pick_sets": [pick_set.to_json() for pick_set in session.pick_sets.all()],
            "pick_set": session.project.settings.pick_set,
            "threshold": session.project.settings.threshold,
            "n_picked": session.n_picked,
        }

    def _missed(self, since: int) -> dict[str, Any]:
        """Return what changed since a window asked last, for example by another window."""
        project, sheets = self.s.project, self.s.sheets
        with project.lock:
            # A window of an earlier start of the server has another count, and may have missed any change.
            all_new = not project.first_change <= since <= project.changes
            entries = [e for e in project.entries.values() if all_new or e.changed > since]
            return {
                "changes": project.changes,
                "rows": [listed(entry) for entry in entries],
                "revisions": {entry.id: sheets.revision(entry) for entry in entries},
                "settings": project.settings.model_dump() if all_new or project.settings_changed > since else None,
            }

    def _saved(self, entry: Entry, sheet: Sheet) -> dict[str, Any]:
        return {"row": listed(entry), "can_undo": len(sheet.done), "can_redo": len(sheet.undone)}

    def _entry(self, request: HttpRequest) -> Entry:
        return self._named(request.path_params["id"])

    def _named(self, micrograph_id: str) -> Entry:
        entry = self.s.project.entries.get(micrograph_id)
        if entry is None:
            raise NotFoundError("there is no such micrograph.")
        return entry


def _answering(answer: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Awaitable[Response]]:
    async def endpoint(request: HttpRequest) -> Response:
        return await _response_of(lambda: answer(request))

    return endpoint


def _acting(kind: type[Body], act: Callable[[HttpRequest, Body], Any]) -> Callable[[HttpRequest], Awaitable[Response]]:
    async def endpoint(request: HttpRequest) -> Response:
        data = await request.body()
        try:
            body = kind.model_validate(parse_json(data or b"{}"))
        except (ValueError, ValidationError) as error:
            return refused(422, f"this request cannot be understood: {_briefly(error)}")
        return await _response_of(lambda: act(request, body))

    return endpoint


async def _response_of(call: Callable[[], Any]) -> Response:
    """Run a call in a thread, and return its result or its error as a response."""
    try:
        result = await run_in_threadpool(call)
    except StaleError as error:
        return refused(409, str(error))
    except NotFoundError as error:
        return refused(404, str(error))
    except InputError as error:
        return refused(422, str(error))
    except VitripickError as error:
        return refused(400, str(error))
    except OSError as error:
        return refused(507, f"the disk reports: {error.strerror or error}. This change was not saved.")
    return result if isinstance(result, Response) else JSONResponse(result)


async def _not_found(request: HttpRequest, error: Exception) -> Response:
    return refused(404, "there is no such page.")


def _filter(request: HttpRequest) -> Filter:
    def number(name: str) -> float:
        try:
            value = float(request.query_params.get(name, "0"))
        except ValueError:
            value = math.nan
        return round(value, 1)

    denoised = request.query_params.get("denoised") == "1"
    return Filter(low_pass_angstrom=number("low"), high_pass_angstrom=number("high"), denoised=denoised)


def _jpeg(data: bytes) -> Response:
    # A JPEG does not get smaller by gzip. "identity" makes the middleware leave it alone.
    return Response(data, media_type="image/jpeg", headers={"Content-Encoding": "identity"})


def _briefly(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return problems(error)
    return str(error)[:200]
