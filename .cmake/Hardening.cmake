# Hardening after the OpenSSF "Compiler Options Hardening Guide for C and C++". The agent holds credentials of several
# clusters and parses what they send: a memory error must end as a crash, not as a way in.
include(CheckCCompilerFlag)
include(CheckLinkerFlag)
include(CheckPIESupported)

add_library(svcmirror_hardening INTERFACE)
check_pie_supported(LANGUAGES C) # without this, CMake adds -fPIE to objects and no -pie to the link

function(harden_compile flag name)
  check_c_compiler_flag("${flag}" ${name})
  if(${name})
    target_compile_options(svcmirror_hardening INTERFACE "${flag}")
  endif()
endfunction()
function(harden_link flag name)
  check_linker_flag(C "${flag}" ${name})
  if(${name})
    target_link_options(svcmirror_hardening INTERFACE "${flag}")
  endif()
endfunction()

if(SVCMIRROR_HARDENING)
  # Checks on return addresses and on buffers in the stack.
  harden_compile(-fstack-protector-strong HAVE_STACK_PROTECTOR)
  # A large frame cannot jump over the guard page.
  harden_compile(-fstack-clash-protection HAVE_STACK_CLASH)
  # Indirect jumps only to marked places, and a shadow stack (Intel CET; on Arm BTI and PAC).
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|i[3-6]86")
    harden_compile(-fcf-protection=full HAVE_CF_PROTECTION)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    harden_compile(-mbranch-protection=standard HAVE_BRANCH_PROTECTION)
  endif()
  # Forgotten locals are zero instead of what the stack held before. While developing they are garbage, so that a test fails.
  if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    harden_compile(-ftrivial-auto-var-init=pattern HAVE_AUTO_VAR_INIT_PATTERN)
  else()
    harden_compile(-ftrivial-auto-var-init=zero HAVE_AUTO_VAR_INIT_ZERO)
  endif()
  # Null checks and overflow checks that the optimiser could prove "unnecessary" stay.
  harden_compile(-fno-delete-null-pointer-checks HAVE_NO_DELETE_NULL_CHECKS)
  harden_compile(-fno-strict-overflow HAVE_NO_STRICT_OVERFLOW)
  # libc's checked variants of memcpy, snprintf and others. Needs optimisation and does not mix with sanitizers, which check
  # the same calls themselves. Some distributions predefine a lower level.
  if(NOT SVCMIRROR_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(svcmirror_hardening INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()

  # Relocations are done at start and read-only afterwards: no writable function pointers in the GOT.
  harden_link(-Wl,-z,relro HAVE_RELRO)
  harden_link(-Wl,-z,now HAVE_NOW)
  harden_link(-Wl,-z,noexecstack HAVE_NOEXECSTACK)
  # Code and data in separate pages, so that data is never executable.
  harden_link(-Wl,-z,separate-code HAVE_SEPARATE_CODE)
  # Only the libraries that are used: less to load, less to patch.
  harden_link(-Wl,--as-needed HAVE_AS_NEEDED)
endif()
