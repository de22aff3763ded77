"""What a station owes, and since when, moment by moment."""

from edge_runtime.service.progress import Progress


def test_an_idle_source_that_answers_owes_nothing_and_one_that_does_not_owes_since_it_last_did() -> (
    None
):
    progress = Progress(0.0)
    for now in (0.2, 0.4, 0.6):
        progress.source_answered(0, now)
    assert progress.stalled_s(0.6) == 0
    assert progress.stalled_s(5.6) == 5.0


def test_a_source_that_still_answers_does_not_hide_an_engine_that_does_not() -> None:
    progress = Progress(0.0)
    progress.frame_taken(0)
    progress.part_completed(1.0)
    for now in (1.0, 3.0, 5.0):
        progress.source_answered(0, now)
        progress.source_answered(0, now)
    assert progress.stalled_s(5.0) == 4.0


def test_verdicts_do_not_hide_a_source_that_hangs() -> None:
    progress = Progress(0.0)
    progress.source_answered(0, 1.0)
    progress.frame_taken(0)
    progress.part_completed(1.0)
    progress.source_answered(0, 1.0)
    progress.parts_answered(1, 1.1)
    assert progress.stalled_s(4.0) == 3.0


def test_a_frame_that_waits_for_room_is_the_later_stages_debt_and_not_the_sources() -> None:
    progress = Progress(0.0)
    for now in (1.0, 2.0):
        progress.frame_taken(0)
        progress.part_completed(now)
    progress.parts_answered(1, 10.0)
    assert progress.stalled_s(10.5) == 0.5, "one is answered, the next is owed since then"
    progress.source_answered(0, 10.5)
    progress.parts_answered(1, 11.0)
    assert progress.stalled_s(11.0) == 0.5, "and now the source is asked again"


def test_a_frame_that_may_wait_for_company_is_not_owed_before_it_has() -> None:
    progress = Progress(0.0, batch_wait_s=60.0)
    for now in (0.0, 30.0):
        progress.frame_taken(0)
        progress.part_completed(now)
        progress.source_answered(0, now)
    progress.source_answered(0, 61.0)
    assert progress.stalled_s(61.0) == 1.0
    progress.parts_answered(1, 61.0)
    progress.source_answered(0, 120.0)
    assert progress.stalled_s(120.0) == 0, "the second may have opened a batch of its own"


def test_a_disk_that_refuses_has_answered() -> None:
    progress = Progress(0.0)
    progress.frame_taken(0)
    progress.part_completed(0.0)
    for now in range(100):
        progress.disk_refused(float(now))
    assert progress.stalled_s(99.5) == 0.5


def test_after_the_last_frame_the_source_owes_nothing_more() -> None:
    progress = Progress(0.0)
    progress.frame_taken(0)
    progress.part_completed(1.0)
    progress.source_answered(0, 1.0)
    progress.source_ended(0)
    assert progress.stalled_s(3.0) == 2.0, "the frame that was taken in is still owed"
    progress.parts_answered(1, 3.0)
    assert progress.stalled_s(1000.0) == 0


def test_an_engine_that_does_not_answer_is_a_stall_though_parts_are_answered_without_it() -> None:
    progress = Progress(0.0)
    progress.frame_taken(0)
    progress.part_completed(1.0)
    progress.engine_asked(1.0)
    progress.parts_answered(1, 5.0)
    progress.source_answered(0, 5.0)
    assert progress.stalled_s(5.0) == 4.0
    progress.engine_answered()
    assert progress.stalled_s(5.0) == 0.0


def test_a_camera_that_answers_does_not_hide_another_that_hangs() -> None:
    progress = Progress(0.0, sources=2)
    for now in (1.0, 2.0, 3.0):
        progress.source_answered(0, now)
    assert progress.stalled_s(3.0) == 3.0
    progress.source_ended(1)
    assert progress.stalled_s(3.0) == 0.0
    assert not progress.ended
    progress.source_ended(0)
    assert progress.ended
