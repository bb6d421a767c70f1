# scripts/get_data.sh: files, members of archives, wrong hashes, what is there already, and a folder instead of a server.
# WORK has list and home/, as get_data_check.cmake made them.
set(outer ${WORK})
set(WORK ${outer}/steps)
include(${CMAKE_CURRENT_LIST_DIR}/script_tools.cmake)
set(get ${SOURCE}/scripts/get_data.sh --list ${outer}/list --to ${WORK}/data)

run("three sets" ${get} plain tar zip)
expect("three sets" "${output}" "4 files added, 0 were there")
file(READ ${WORK}/data/zip/text text)
expect("a member" "${text}" "^words$")
run("again" ${get} plain tar zip)
expect("again" "${output}" "0 files added, 4 were there")

# A damaged file is fetched anew.
file(WRITE ${WORK}/data/plain/a.jsonl "damaged")
run("a damaged file" ${get} plain)
expect("a damaged file" "${output}" "1 files added")

fails("a wrong hash" 2 "wrong/a.jsonl is not the file it should be.*expected sha256:000.*found    sha256:ca3d163b" ${get} wrong)
if(EXISTS ${WORK}/data/wrong)
  message(FATAL_ERROR "a file with a wrong hash was kept")
endif()
fails("a missing file" 1 "could not fetch http://127.0.0.1.*404.*--from DIR" ${get} gone)
fails("an unknown set" 2 "there is no set .gsm8k.; sets: plain, tar, zip, wrong, gone, all" ${get} gsm8k)

# From a folder: laid out like the data, or holding the archives. Loose files without a pin are not taken.
set(get ${SOURCE}/scripts/get_data.sh --list ${outer}/list --to ${WORK}/other)
run("a folder" ${get} --from ${WORK}/data plain zip)
expect("a folder" "${output}" "2 files added")
fails("an unpinned file" 1 "data has no tar/two.csv" ${get} --from ${WORK}/data tar)
run("archives in a folder" ${get} --from ${outer}/home tar)
expect("archives in a folder" "${output}" "1 files added, 1 were there")
file(APPEND ${outer}/home/data.tar "x")
file(REMOVE_RECURSE ${WORK}/other/tar)
fails("a changed archive" 2 "data.tar is not the file it should be" ${get} --from ${outer}/home tar)
fails("a changed archive" 2 "data.tar is not the file it should be" ${get} tar)
fails("no folder" 2 "nowhere is no folder" ${get} --from nowhere plain)

# The program's own list: every set of the tasks, each place once.
file(STRINGS ${SOURCE}/scripts/data_files.txt lines REGEX "^(gsm8k|bbh|mmlu|wikitext2) ")
list(LENGTH lines count)
if(NOT count EQUAL 230)
  message(FATAL_ERROR "the list has ${count} files, not 3 + 54 + 172 + 1")
endif()
