# svcmirror_program(<target> <source>): a test program with the libraries that its first line asks for.
#
#   /* links: base mirror */            only these libraries: keeps the test of a pure folder pure
#   /* links: agent_control fake.c */   a word that ends in .c is one more source, relative to the test's folder: a fake
#                                       whose symbols take the place of a library's
# Without such a line: every library of the project.
function(svcmirror_program target source)
  # The line decides what is linked, so editing the file has to run CMake again.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
  file(STRINGS "${source}" first_line LIMIT_COUNT 1)
  set(sources "${source}")
  set(libraries "")
  if(first_line MATCHES "^/\\* links:([^*]*)\\*/")
    string(REGEX MATCHALL "[^ \t]+" words "${CMAKE_MATCH_1}")
    cmake_path(GET source PARENT_PATH folder)
    foreach(word IN LISTS words)
      if(word MATCHES "\\.c$")
        list(APPEND sources "${folder}/${word}")
      elseif(TARGET ${word})
        list(APPEND libraries ${word})
      else()
        message(FATAL_ERROR "${source}: `links:` names ${word}, which is no library")
      endif()
    endforeach()
  else()
    get_property(libraries GLOBAL PROPERTY SVCMIRROR_LIBRARIES)
    list(REVERSE libraries) # users before what they use
  endif()
  add_executable(${target} ${sources})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE
    SVCMIRROR_SOURCE_DIR="${PROJECT_SOURCE_DIR}" SVCMIRROR_BINARY="${PROJECT_BINARY_DIR}/svcmirror")
  target_link_libraries(${target} PRIVATE ${libraries} svcmirror_hardening svcmirror_warnings)
endfunction()
