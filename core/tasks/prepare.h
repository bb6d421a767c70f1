// Changes to records that a template cannot express: the harness's own clean-up of HellaSwag, the two layouts of ARC,
// WikiText's pages. By name, as `data.prepare` of a task file has it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/tasks/records.h"

namespace sluice {

std::vector<std::string_view> preparations();
// Error with the record's place where a field is missing or of another kind.
void prepare_record(std::string_view name, Record& record);

// WikiText-2 as pages, records with `page` and its detokenized `text`: a page begins at a heading of the first level.
std::vector<Record> wikitext_pages(std::string_view text, const std::string& origin);

}  // namespace sluice
