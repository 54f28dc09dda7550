# What `cmake --install` and packages hold beside the program: manual pages and completions, which the program itself writes, the list of the libraries
# that it uses (SBOM), and its licence.
install(FILES "${PROJECT_SOURCE_DIR}/README.md" "${PROJECT_SOURCE_DIR}/deploy/debian/copyright" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
if(CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR)
  message(STATUS "Manual pages, completions and SBOM are left out: the program cannot be run here (CMAKE_CROSSCOMPILING_EMULATOR)")
  return()
endif()

# --- manual pages; a stamp, because which there are is known to the program alone ---
set(manuals "${PROJECT_BINARY_DIR}/man")
set(compress true)
set(compressed "")
find_program(GZIP gzip)
if(GZIP)
  set(compress "'${GZIP}' -9nf *.1") # -n: neither name nor time, so that equal pages are equal files
  set(compressed .gz)
endif()
add_custom_command(OUTPUT "${PROJECT_BINARY_DIR}/man.stamp"
  COMMAND "${CMAKE_COMMAND}" -E rm -rf "${manuals}"
  COMMAND "${CMAKE_COMMAND}" -E make_directory "${manuals}"
  COMMAND svcmirror man --directory "${manuals}"
  COMMAND sh -c "cd '${manuals}' && ${compress} && for name in kubectl-svcmirror kubectl_complete-svcmirror; do ln -s svcmirror.1${compressed} $name.1${compressed}; done"
  COMMAND "${CMAKE_COMMAND}" -E touch "${PROJECT_BINARY_DIR}/man.stamp"
  DEPENDS svcmirror VERBATIM)
install(DIRECTORY "${manuals}/" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")

# --- completions ---
# Debian's zsh looks for those of packages in a folder of its own.
set(zsh_folder "${CMAKE_INSTALL_DATADIR}/zsh/site-functions")
if(EXISTS /etc/debian_version)
  set(zsh_folder "${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions")
endif()
set(SVCMIRROR_ZSH_COMPLETIONS "${zsh_folder}" CACHE STRING "Where completions for zsh are installed, below the prefix")

set(completions "${PROJECT_BINARY_DIR}/completions")
set(made "")
function(svcmirror_completion shell name folder)
  set(file "${completions}/${shell}/${name}")
  add_custom_command(OUTPUT "${file}"
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${completions}/${shell}"
    COMMAND svcmirror completion ${shell} > "${file}"
    DEPENDS svcmirror VERBATIM)
  install(FILES "${file}" DESTINATION "${folder}")
  set(made "${made};${file}" PARENT_SCOPE)
endfunction()
svcmirror_completion(bash svcmirror "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
svcmirror_completion(zsh _svcmirror "${SVCMIRROR_ZSH_COMPLETIONS}")
svcmirror_completion(fish svcmirror.fish "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
# bash looks for a command's file when the command is typed.
install(CODE "file(CREATE_LINK svcmirror \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/bash-completion/completions/kubectl-svcmirror\" SYMBOLIC)")

# --- changelog, as Debian's policy wants it ---
set(changelog "${PROJECT_BINARY_DIR}/changelog")
execute_process(COMMAND date -u -R -d "${SVCMIRROR_DATE}" OUTPUT_VARIABLE date_of_mails OUTPUT_STRIP_TRAILING_WHITESPACE)
configure_file("${PROJECT_SOURCE_DIR}/deploy/debian/changelog.in" "${changelog}" @ONLY)
if(GZIP)
  add_custom_command(OUTPUT "${changelog}.gz" COMMAND "${GZIP}" -9nkf "${changelog}" DEPENDS "${changelog}" VERBATIM)
endif()
list(APPEND made "${changelog}${compressed}")
install(FILES "${changelog}${compressed}" DESTINATION "${CMAKE_INSTALL_DOCDIR}")

# --- SBOM ---
set(sbom "${PROJECT_BINARY_DIR}/svcmirror.spdx.json")
add_custom_command(OUTPUT "${sbom}"
  COMMAND "${PROJECT_SOURCE_DIR}/deploy/make-sbom" "$<TARGET_FILE:svcmirror>" ${PROJECT_VERSION} ${SVCMIRROR_DATE} > "${sbom}"
  DEPENDS svcmirror "${PROJECT_SOURCE_DIR}/deploy/make-sbom" VERBATIM)
install(FILES "${sbom}" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
add_custom_target(sbom DEPENDS "${sbom}")

add_custom_target(installed-files ALL DEPENDS "${PROJECT_BINARY_DIR}/man.stamp" ${made} "${sbom}")
