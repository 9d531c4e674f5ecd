"""Every bound of parsing, named, with its unit and its reason."""

from __future__ import annotations

MIB = 1024 * 1024

# --- what a file may be -----------------------------------------------------------------------------------------------
FILE_MAX_BYTES = 256 * MIB  # bytes; the file is held in the child's memory once, beside what is made of it
TEXT_FILE_MAX_BYTES = 64 * MIB  # bytes; text, mail, HTML, CSV and XML grow up to four times when decoded
PDF_MAX_PAGES = 5_000  # pages; a page tree can repeat one page for ever (200k x the same page was measured to hang)
PDF_MAX_CHARS = 20_000_000  # characters; a 94 kB PDF can hold 30 million
ZIP_MAX_MEMBERS = 5_000  # members; office files have tens, bombs have thousands
ZIP_MAX_TOTAL_BYTES = 256 * MIB  # bytes unpacked, summed from the central directory before anything is opened
ZIP_MAX_XML_BYTES = 100 * MIB  # bytes unpacked of one XML member; a tree costs about ten times its text
SHEET_MAX_CELLS = 8_000_000  # cells of a sheet's bounding box; calamine allocates it densely and aborts when it cannot
TABLE_MAX_COLUMNS = 2_000  # columns; 200,000 columns were measured to hang for a minute
HTML_MAX_DEPTH = 5_000  # nested elements; lexbor is quadratic in depth (10,000 took 0.5 s, 40,000 took 7 s)
MAIL_MAX_DEPTH = 20  # messages inside messages; real forwards reach five
FIELD_MAX_CHARS = 1_000_000  # characters of one CSV field; longer means an unclosed quote
FIELD_MAX_LINES = 500  # line ends inside one CSV field; more mean an unclosed quote, too

# --- what a result may be ---------------------------------------------------------------------------------------------
TEXT_MAX_CHARS = 64 * MIB  # characters of a parsed document: a text file of the largest size
MAX_BLOCKS = 1_000_000  # blocks; the gateway holds each as an object of about 130 bytes
RESULT_MAX_BYTES = 96 * MIB  # bytes of an encoded result (RLIMIT_FSIZE): 64 MiB of text and the blocks
DETAIL_MAX_CHARS = 300  # characters of a refusal's sentence, so that a hostile file cannot flood a report
NOTE_LIST_MAX = 12  # page numbers that a note spells out before it says "and others"

# --- what a child may use ---------------------------------------------------------------------------------------------
IN_FLIGHT_MAX = 2  # files at once; two cores are what a small machine has
MEMORY_BYTES = 512 * MIB  # bytes of address space; real files peak at about 110 MB, so two at once stay under 1.1 GB
MEMORY_ALONE_BYTES = 1024 * MIB  # bytes for the second try of a file that needed more, made while no other runs
CPU_SECONDS = 30  # seconds of processor time; the slowest real file took 2
CPU_GRACE_SECONDS = 2  # seconds between SIGXCPU and SIGKILL, for a library that ignores the first
WALL_SECONDS = 90.0  # seconds on the clock; three times the processor limit, for a loaded machine
OPEN_FILES_MAX = 64  # file descriptors of a child, which needs four
STDERR_KEEP_BYTES = 4096  # bytes of a dead child's stderr that are read to tell memory from damage

# --- the zygote -------------------------------------------------------------------------------------------------------
READY_SECONDS = 60.0  # seconds for the zygote's imports (0.4 s idle); a loaded machine may take twenty times as long
STOP_SECONDS = 5.0  # seconds between closing the zygote's socket and killing it
HEARTBEAT_SECONDS = 1.0  # seconds between two looks at whether the gateway still lives
ANSWER_GRACE_SECONDS = 15.0  # seconds past WALL_SECONDS after which the zygote itself counts as stuck
RESTARTS_MAX = 5  # zygote starts in RESTART_WINDOW_SECONDS before parsing is given up
RESTART_WINDOW_SECONDS = 60.0  # seconds
DEATHS_PER_FILE_MAX = 2  # zygote deaths while one file is parsed, after which the file is refused
FRAME_MAX_BYTES = 64 * 1024  # bytes of one message between gateway and zygote; results do not travel in messages
NAME_MAX_CHARS = 1_024  # characters of a file name sent to the zygote
