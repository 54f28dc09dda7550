# Every tests/fuzz/fuzz_<name>.c is one libFuzzer program. The preset compiles everything with fuzzer-no-link, so that
# coverage is counted in the libraries too; only the programs get libFuzzer's main().
if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "SVCMIRROR_FUZZ needs clang (preset `fuzz`)")
endif()
include(Tests)
file(GLOB fuzzers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_*.c")
foreach(source IN LISTS fuzzers)
  cmake_path(GET source STEM name)
  svcmirror_program(${name} "${source}")
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endforeach()
