# Installs the package into an empty folder and builds the template against it as a third party would.
message(STATUS "not written yet")
