# Warnings for our own code. Each is here because it finds a kind of mistake that tests easily miss.
add_library(svcmirror_warnings INTERFACE)
target_compile_options(svcmirror_warnings INTERFACE
  -Wall -Wextra
  -Wshadow                  # an inner variable hides the one that was meant
  -Wconversion              # lengths cut short, double to integer
  -Wno-sign-conversion      # part of -Wconversion in gcc; too loud around char and size_t to be read
  -Wstrict-prototypes       # f() means "any arguments" before C23
  -Wmissing-prototypes      # a function that is neither static nor in a header
  -Wold-style-definition    # int f(a) int a;
  -Wvla                     # the stack has no bound check: every growing thing has a maximum
  -Wformat=2                # format strings that are not literals
  -Wundef                   # a misspelt macro in #if is silently 0
  -Wpointer-arith           # arithmetic on void pointers
  -Wwrite-strings           # string literals are const
  -Wimplicit-fallthrough    # a forgotten break
  -Wnull-dereference        # needs optimisation to see anything
  -Wdouble-promotion        # float silently computed as double
  -Werror=format-security   # a format string out of data is never meant
  -Werror=implicit-function-declaration # called without a header: wrong types at run time
  -Werror=incompatible-pointer-types
  -Werror=int-conversion
  -Werror=return-type
)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(svcmirror_warnings INTERFACE
    -Wduplicated-cond         # if (x) ... else if (x)
    -Wduplicated-branches     # both branches do the same
    -Wlogical-op              # x == 1 || x == 1
    -Wjump-misses-init        # goto over an initialisation
    -Wformat-truncation=1     # snprintf whose buffer is certainly too small
    -Wcast-qual               # a cast that drops const (clang reports it inside libev's macros too)
    -Wtrampolines             # nested functions would need an executable stack
  )
elseif(CMAKE_C_COMPILER_ID MATCHES "Clang")
  target_compile_options(svcmirror_warnings INTERFACE
    -Wno-implicit-int-conversion # clang also reports char arithmetic that gcc knows to be in range
    -Wcomma                   # a comma where a semicolon was meant
    -Wconditional-uninitialized
    -Wno-missing-field-initializers # {0} and designated initialisers are meant
  )
endif()
if(SVCMIRROR_WERROR)
  target_compile_options(svcmirror_warnings INTERFACE -Werror)
endif()
if(SVCMIRROR_ANALYZER)
  target_compile_options(svcmirror_warnings INTERFACE -fanalyzer)
endif()
