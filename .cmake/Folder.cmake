# svcmirror_folder(<library> [LINKS <library>...])
#
# Makes the static library <library> of all *.c files in the current folder. LINKS says what it may use; that is PUBLIC,
# because headers show each other's types. A folder without sources gives an empty interface library, so that the folders
# above it can be built before it is written.
define_property(GLOBAL PROPERTY SVCMIRROR_LIBRARIES)

function(svcmirror_folder library)
  cmake_parse_arguments(arg "" "" "LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.c")
  # main() belongs to the executable; tests have their own.
  list(FILTER sources EXCLUDE REGEX "/main\\.c$")
  if(NOT sources)
    add_library(${library} INTERFACE)
    target_include_directories(${library} INTERFACE "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/generated")
    target_link_libraries(${library} INTERFACE ${arg_LINKS})
  else()
    add_library(${library} STATIC ${sources})
    target_include_directories(${library} PUBLIC "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/generated")
    # accept4, pipe2, getrandom and the like; one definition for all, because headers must not differ between files.
    target_compile_definitions(${library} PUBLIC _GNU_SOURCE)
    target_link_libraries(${library} PUBLIC ${arg_LINKS} svcmirror_hardening PRIVATE svcmirror_warnings)
    svcmirror_link_check(${library})
  endif()
  set_property(GLOBAL APPEND PROPERTY SVCMIRROR_LIBRARIES ${library})
endfunction()

# Links every object of a library with only what the library declares: an undeclared dependency (mirror/ calling into
# agent/, anything pure calling a foreign library) is an undefined symbol. A static library alone would not notice.
function(svcmirror_link_check library)
  if(NOT TARGET link-check)
    file(WRITE "${PROJECT_BINARY_DIR}/generated/link_check.c" "int main(void) { return 0; }\n")
    add_custom_target(link-check)
  endif()
  add_executable(link-check-${library} EXCLUDE_FROM_ALL "${PROJECT_BINARY_DIR}/generated/link_check.c")
  target_link_libraries(link-check-${library} PRIVATE
    "-Wl,--whole-archive" $<TARGET_FILE:${library}> "-Wl,--no-whole-archive" ${library})
  add_dependencies(link-check-${library} ${library})
  add_dependencies(link-check link-check-${library})
endfunction()
