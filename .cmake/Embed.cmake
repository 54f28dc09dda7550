# svcmirror_embed(<target> <symbol> <file>...): the text of the files, one behind the other with a line "---" between them, as an array of
# bytes `<symbol>`, ended by a 0, in a source of the target.
function(svcmirror_embed target symbol)
  set(output "${PROJECT_BINARY_DIR}/generated/embedded_${symbol}.c")
  set(bytes "")
  foreach(file IN LISTS ARGN)
    # Editing the file has to run CMake again.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    file(READ "${file}" hex HEX)
    if(bytes)
      string(APPEND bytes "2d2d2d0a") # "---\n"
    endif()
    string(APPEND bytes "${hex}")
  endforeach()
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," list "${bytes}")
  string(REGEX REPLACE "(................................................................................)" "\\1\n" list "${list}")
  set(text "extern const char ${symbol}[];\nconst char ${symbol}[] = {\n${list}0};\n")
  file(CONFIGURE OUTPUT "${output}" CONTENT "${text}" @ONLY)
  target_sources(${target} PRIVATE "${output}")
endfunction()
