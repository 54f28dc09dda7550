# Targets that look at the sources: format-check, format, lint, tidy.
file(GLOB_RECURSE all_sources CONFIGURE_DEPENDS
  "${PROJECT_SOURCE_DIR}/base/*.[ch]" "${PROJECT_SOURCE_DIR}/mirror/*.[ch]" "${PROJECT_SOURCE_DIR}/health/*.[ch]"
  "${PROJECT_SOURCE_DIR}/agent/*.[ch]" "${PROJECT_SOURCE_DIR}/tests/*.[ch]")

find_program(CLANG_FORMAT NAMES clang-format-14 clang-format)
if(CLANG_FORMAT)
  add_custom_target(format-check COMMAND "${CLANG_FORMAT}" --dry-run --Werror ${all_sources}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" VERBATIM)
  add_custom_target(format COMMAND "${CLANG_FORMAT}" -i ${all_sources}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" VERBATIM)
endif()

add_custom_target(lint COMMAND "${PROJECT_SOURCE_DIR}/tests/lint"
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" VERBATIM USES_TERMINAL)

if(SVCMIRROR_COVERAGE)
  find_program(GCOVR gcovr)
  if(GCOVR)
    # After the tests: build/coverage/coverage/index.html.
    add_custom_target(coverage-report
      COMMAND "${CMAKE_COMMAND}" -E make_directory "${PROJECT_BINARY_DIR}/coverage"
      COMMAND "${GCOVR}" --root "${PROJECT_SOURCE_DIR}" --filter "^(base|mirror|health|agent)/" --txt
              --html-details "${PROJECT_BINARY_DIR}/coverage/index.html" "${PROJECT_BINARY_DIR}"
      WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" VERBATIM)
  endif()
endif()
