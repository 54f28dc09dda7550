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

# svcmirror_python_tests(<folder> [TIMEOUT <seconds>] [SERIAL] [PROGRAM] [ENVIRONMENT <name=value>...]): every test_*.py of tests/<folder>, the caller's own
# folder, as a test that needs nothing but Python's own library. PROGRAM: they run the program, and are left out where it is not built.
function(svcmirror_python_tests folder)
  cmake_parse_arguments(PARSE_ARGV 1 of "SERIAL;PROGRAM" "TIMEOUT" "ENVIRONMENT")
  find_package(Python3 COMPONENTS Interpreter)
  if(NOT Python3_FOUND OR (of_PROGRAM AND NOT TARGET svcmirror))
    message(STATUS "tests/${folder} is left out: it needs Python 3 and what it tests")
    return()
  endif()
  file(GLOB tests CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/test_*.py")
  foreach(source IN LISTS tests)
    cmake_path(GET source STEM name)
    add_test(NAME ${folder}/${name} COMMAND Python3::Interpreter -B -m unittest -q ${name}
      WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}")
    set_tests_properties(${folder}/${name} PROPERTIES TIMEOUT ${of_TIMEOUT} LABELS unit)
    if(of_SERIAL)
      set_tests_properties(${folder}/${name} PROPERTIES RUN_SERIAL TRUE)
    endif()
    if(of_ENVIRONMENT)
      set_tests_properties(${folder}/${name} PROPERTIES ENVIRONMENT "${of_ENVIRONMENT}")
    endif()
  endforeach()
endfunction()
