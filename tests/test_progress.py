import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.progress import TAIL, Progress, ProgressTracker, find_progress, read_checkboxes


@pytest.mark.parametrize(
    ("output", "progress"),
    [
        ("45%\n", Progress(0.45, "")),
        ("Downloading foo.tar.gz 45.5 %\n", Progress(0.455, "Downloading foo.tar.gz")),
        ("[ 67%] Building CXX object foo.o\n", Progress(0.67, "Building CXX object foo.o")),
        ("tests/test_a.py ..F.s   [ 23%]\n", Progress(0.23, "tests/test_a.py ..F.s")),
        ("....................   [100%]\n", Progress(1.0, "")),
        ("Loading [=====>     ] 45%\n", Progress(0.45, "Loading")),
        ("[#####.....] 50% eta 3s\n", Progress(0.5, "eta 3s")),
        ("Epoch 3:  45%|████▌     | 45/100 [00:10<00:12,  4.50it/s]\r", Progress(0.45, "Epoch 3")),
        ("Downloading ━━━━━━╸━━━━ 45% 0:00:03\n", Progress(0.45, "Downloading")),
        ("Receiving objects:  45% (450/1000), 1.20 MiB | 2 MiB/s\r", Progress(0.45, "Receiving objects")),
        ("progress: 30%\n", Progress(0.3, "progress")),
        ("12/40\n", Progress(0.3, "")),
        ("[12/40] Compiling Swift Module (release)\n", Progress(0.3, "Compiling Swift Module (release)")),
        ("Step 3 / 10 : RUN make\n", Progress(0.3, "Step")),
        ("test 12 of 40\n", Progress(0.3, "test")),
        ("12 out of 40 files done\n", Progress(0.3, "files done")),
        ("Progress:12/40, then more\n", Progress(0.3, "Progress")),
        ("Files checked: 12/40.\n", Progress(0.3, "Files checked")),
        ("\x1b[32mfiles\x1b[0m \x1b[1m12\x1b[0m/\x1b[1m40\x1b[0m\n", Progress(0.3, "files")),
        ("\x1b]0;title 99%\x07copied 30%\n", Progress(0.3, "copied")),
        ("0/5\n", Progress(0.0, "")),
        ("5/5 ok\n", Progress(1.0, "ok")),
        ("progress: reading the plan\n", Progress(None, "progress: reading the plan")),
        ("Processing batch 7\n", Progress(None, "Processing batch 7")),
        ("2026-11-20 10:00:00,123 INFO processing item 7\n", Progress(None, "processing item 7")),
        ("[worker] processing item 7\n", Progress(None, "processing item 7")),
        ("   Compiling serde v1.0.0 (/src/serde)\n", Progress(None, "Compiling serde v1.0.0 (/src/serde)")),
        ("> Linking\n", Progress(None, "Linking")),
        ("\x1b[1m   Building\x1b[0m wheel\n", Progress(None, "Building wheel")),
        ("Building the project…", Progress(None, "Building the project")),
    ],
)
def test_a_marker_tells_how_far_the_worker_is(output: str, progress: Progress) -> None:
    assert find_progress(output.encode()) == progress


@pytest.mark.parametrize(
    "output",
    [
        "",
        "\n\n\r\n",
        "nothing to see\n",
        "2026/11/20 12:00:00 started\n",
        "20/11/2026\n",
        "see a/3/4 and src/1/2 and /var/1/2 and 1/2/\n",
        "version 1.2/3.4, v1/2, python3/4\n",
        "GET /a HTTP/1.1 200 10.0.0.0/24 fe80::1/64 12:30/40\n",
        "9/8 1/1 0/0 7/0 3/1\n",
        "1,234/5,678 and 12/40-bit and 12/40% and 1/2.5\n",
        "110% 50%20 foo%20bar 5%d %s -3% +4% 12.5.3%\n",
        "5 of the 7; one of 3\n",
        "We are processing it and building-blocks, preprocessing.\n",
        "linking.py processing_time building/x progress\n",
        "ratio 12345678901234567890/12345678901234567890\n",
        "\x00\x01\xff\xfe",
    ],
)
def test_what_only_looks_like_a_marker_is_none(output: str) -> None:
    assert find_progress(output.encode("latin-1")) is None


@pytest.mark.parametrize(
    ("output", "progress"),
    [
        ("10%\n20%\n15%\nnoise\n", Progress(0.15, "")),
        ("10%\r20%\r30%\r", Progress(0.3, "")),
        ("10%\b\b\b20%", Progress(0.2, "")),
        ("1/4\n50%\n3/4\n", Progress(0.75, "")),
        ("50%\nLinking app\n", Progress(None, "Linking app")),
        ("Linking app\n50%\n", Progress(0.5, "")),
        ("1/4 then 3/4\n", Progress(0.75, "")),
        ("50%\n2026/11/20 9/8 a/1/2\n", Progress(0.5, "")),
    ],
)
def test_the_last_marker_counts(output: str, progress: Progress) -> None:
    assert find_progress(output.encode()) == progress


@pytest.mark.parametrize(
    ("output", "progress", "at_the_end"),
    [
        ("11/40\n12/4", Progress(11 / 40, ""), None),
        ("11/40\n12/40", Progress(11 / 40, ""), Progress(0.3, "")),
        ("\r11/40\r12/40 ", Progress(0.3, ""), Progress(0.3, "")),
        ("\r45%", Progress(0.45, ""), Progress(0.45, "")),
        ("at 12 of 4", None, None),
        ("Compiling one\nCompiling tw", Progress(None, "Compiling one"), Progress(None, "Compiling tw")),
        ("Building the project...", Progress(None, "Building the project"), Progress(None, "Building the project")),
        ("25%\ncaf\xc3", Progress(0.25, ""), Progress(0.25, "")),
    ],
)
def test_the_last_word_of_an_unfinished_line_counts_only_at_the_end(
    output: str, progress: Progress | None, at_the_end: Progress | None
) -> None:
    data = output.encode("latin-1")

    assert find_progress(data) == progress
    assert at_the_end is None or find_progress(data, final=True) == at_the_end


def test_a_line_that_was_cut_at_its_start_does_not_count() -> None:
    whole = b"3456/4000\n" + b"x" * (TAIL - 7) + b"\n"

    assert find_progress(whole[-TAIL:]) is None
    assert find_progress(whole) is None


def test_a_long_running_line_counts_from_its_first_whole_word() -> None:
    assert find_progress(b"." * TAIL + b"45% ") is None
    assert find_progress(b"." * TAIL + b" 45% ") == Progress(0.45, "")


def test_only_the_last_bytes_are_looked_at() -> None:
    assert find_progress(b"50%\n" + b"noise\n" * TAIL) is None


@given(st.binary(max_size=60), st.integers(0, 12))
def test_a_cut_tail_says_the_same_as_all_of_the_output(noise: bytes, cut: int) -> None:
    output = b"\n".join([noise, b"\xe2\x82\xac 123/456 \x1b[31m78% of 90\x1b[0m"] * 200) + b"\ncopied 12/40\n"
    output = output[: len(output) - cut]

    assert find_progress(output[-TAIL:]) == find_progress(output)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_fraction_and_a_printable_label_or_nothing(data: bytes) -> None:
    for output in (data, b"processing " + data, data + b" 50% " + data):
        progress = find_progress(output, final=True)

        assert progress is None or progress.fraction is None or 0 <= progress.fraction <= 1
        assert progress is None or (len(progress.label) <= 80 and "\x1b" not in progress.label)


def test_a_label_is_cut_to_a_length_that_fits_a_display() -> None:
    assert find_progress(b"Processing " + b"word " * 100 + b"\n") == Progress(
        None, ("Processing " + "word " * 100)[:80].rstrip()
    )


CHECKLIST = """
# Plan
- [x] read the code
* [X] write it
  1. [x] nested
  2) [ ] test \x1b[31mit
+ [ ] document it
> - [x] quoted
- [ ]not one, - [y] nor this, [ ] nor this
```
- [ ] an example
~~~
```
~~~~ text
- [ ] another
~~~
~~~~
- [ ]
"""


def test_checkboxes_are_counted_and_the_first_open_one_is_named() -> None:
    assert read_checkboxes(CHECKLIST) == Progress(4 / 7, "4/7 test it")


@pytest.mark.parametrize(
    ("text", "progress"),
    [
        ("", None),
        ("no list\n", None),
        ("- [x] one\r\n- [X] two\r\n", Progress(1.0, "2/2")),
        ("- [ ] " + "long " * 40, Progress(0.0, ("0/1 " + "long " * 40)[:80].rstrip())),
        ("```inline```\n- [ ] one\n", Progress(0.0, "0/1 one")),
        ("```\n- [ ] never closed\n", None),
    ],
)
def test_a_text_without_open_boxes_is_read_too(text: str, progress: Progress | None) -> None:
    assert read_checkboxes(text) == progress


def test_a_change_of_a_percent_or_of_the_label_is_news() -> None:
    tracker = ProgressTracker()
    steps = [
        (Progress(0.10, "copy"), True),
        (Progress(0.10, "copy"), False),
        (Progress(0.105, "copy"), False),
        (Progress(0.11, "copy"), True),
        (Progress(0.11, "check"), True),
        (Progress(0.02, "check"), True),
        (None, False),
        (Progress(0.02, "check"), False),
        (Progress(None, "item 1"), True),
        (Progress(None, "item 2"), True),
        (Progress(None, "item 2"), False),
    ]

    assert [tracker.changed(progress) for progress, _ in steps] == [news for _, news in steps]


def test_every_single_percent_is_news() -> None:
    tracker = ProgressTracker()

    assert all(tracker.changed(Progress(percent / 100, "")) for percent in range(101))


def test_small_steps_add_up_and_the_end_is_always_told() -> None:
    tracker = ProgressTracker()

    told = [step for step in range(1001) if tracker.changed(Progress(step / 1000, ""))]
    assert told == list(range(0, 1001, 10))

    tracker = ProgressTracker()
    assert tracker.changed(Progress(0.999, "")) and tracker.changed(Progress(1.0, ""))


def test_a_counter_in_the_label_of_a_fraction_is_no_news() -> None:
    tracker = ProgressTracker()

    assert tracker.changed(Progress(0.1, "eta 30s"))
    assert not tracker.changed(Progress(0.1, "eta 29s"))
