# Run-time checkers, applied to everything (libraries, executable, tests): mixing gives false reports.
if(SVCMIRROR_SANITIZE)
  # Stop at the first finding, with a whole stack.
  add_compile_options(-fsanitize=${SVCMIRROR_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=${SVCMIRROR_SANITIZE})
endif()
if(SVCMIRROR_COVERAGE)
  # Atomic counters: libcurl's resolver thread runs our allocation functions.
  add_compile_options(--coverage -fprofile-update=atomic -fprofile-abs-path)
  add_link_options(--coverage)
endif()
