/* plan/expr_functions.c: see expr_functions.h. SPDX-License-Identifier: Apache-2.0 */
#include "plan/expr_functions.h"

#include "plan/expr_parts.h"

#include <string.h>

static bool has_format(plan_bytes arguments) {
  return !plan_value_nil(plan_part(plan_item(arguments, 1), "format"));
}

static bool shares_ranks(plan_bytes arguments) {
  plan_bytes method = plan_part(plan_part(arguments, "options"), "method");
  return plan_value_is(method, "Average") || plan_value_is(method, "Min") ||
         plan_value_is(method, "Max") || plan_value_is(method, "Dense");
}

static bool calls_python(plan_bytes arguments) {
  return plan_value_is(plan_part(arguments, "function"), "Map");
}

typedef struct function_rule {
  const char *family; /* "": Polars' FunctionExpr itself; else one of its enums of functions */
  function_kind kind;
  unsigned flags;
  const char *names;                     /* separated by blanks */
  bool (*only_if)(plan_bytes arguments); /* NULL: always. The first rule that fits is taken. */
  const char *condition;                 /* only_if in words */
} function_rule;

#define RULE(family_, kind_, flags_, names_)                                                       \
  { .family = (family_), .kind = FUNCTION_##kind_, .flags = (flags_), .names = (names_) }
#define RULE_IF(family_, kind_, flags_, names_, only_if_, condition_)                              \
  {                                                                                                \
    .family = (family_), .kind = FUNCTION_##kind_, .flags = (flags_), .names = (names_),           \
    .only_if = (only_if_), .condition = (condition_)                                               \
  }
#define ORDER FUNCTION_ORDER
#define IMPURE FUNCTION_IMPURE
#define IN_PLACE FUNCTION_IN_PLACE
#define BROADCASTS FUNCTION_BROADCASTS
#define TAKES_SERIES FUNCTION_TAKES_SERIES
#define WHOLE_ARGS (FUNCTION_WHOLE_ARGS | FUNCTION_TAKES_SERIES)

/* ToPhysical and Categorical are no row-wise functions, because the number of a category is the
 * process's: it counts the strings that the process has seen. Nor is SetOperation: of no rows and a
 * literal it makes one row. */
static const function_rule RULES[] = {
    RULE("", ROWWISE, 0,
         "Abs Ceil Clip Cut DecimalArith Erf Erfc Exp Floor Hash Log Log1p Negate Reinterpret "
         "RepeatBy Round RoundSF RowDecode SetSortedFlag Sign Truncate"),
    RULE("", ROWWISE, BROADCASTS, "Atan2 FillNull"),
    RULE("", ROWWISE, IN_PLACE | BROADCASTS,
         "AsList AsStruct Coalesce MaxHorizontal MeanHorizontal MinHorizontal RowEncode "
         "SumHorizontal"),
    RULE("", ROWWISE, WHOLE_ARGS, "Replace ReplaceStrict"),
    RULE("", SELECTION, 0, "DropNans DropNulls"),
    RULE("", AGGREGATE, 0,
         "ApproxNUnique ApproxQuantile Correlation Entropy Kurtosis NullCount Product Quantile "
         "Skew"),
    RULE("", AGGREGATE, ORDER, "ArgMax ArgMin IndexOf MaxBy MinBy"),
    RULE_IF("", OTHER, 0, "Rank", shares_ranks, "equal values share a rank"),
    RULE("", OTHER, 0, "LowerBound QCut UpperBound"),
    RULE("", OTHER, ORDER,
         "ArgSort ArgUnique ArgWhere Bin CumCount CumMax CumMin CumProd CumSum Diff EwmMean "
         "EwmMeanBy EwmStd EwmSum EwmSumBy EwmVar ExtendConstant GatherEvery Hist Interpolate "
         "InterpolateBy Mode PctChange PeakMax PeakMin RLE RLEID Rank Repeat Reshape Reverse "
         "RollingExprBy SearchSorted Shift ShiftAndFill ToPhysical TopK TopKBy Unique "
         "UniqueCounts ValueCounts"),
    RULE("", OTHER, ORDER | IN_PLACE, "Append ConcatExpr"),
    RULE("", OTHER, ORDER | IMPURE, "Random"),
    RULE_IF("", OTHER, ORDER | IMPURE, "RollingExpr", calls_python, "`rolling_map`"),
    RULE("", OTHER, ORDER, "RollingExpr"),
    RULE("", OTHER, ORDER | IMPURE | IN_PLACE,
         "CumFoldHorizontal CumReduceHorizontal FoldHorizontal ReduceHorizontal"),

    RULE("ArrayExpr", ROWWISE, 0,
         "ArgMax ArgMin Contains CountMatches Dot Get Join Length Max Mean Median Min Shift "
         "Slice Sort Std Sum ToList ToStruct Var"),
    RULE("ArrayExpr", ROWWISE, IN_PLACE | BROADCASTS, "Concat"),
    RULE("ArrayExpr", SELECTION, 0, "Explode"),
    RULE("BinaryExpr", ROWWISE, 0,
         "Base64Decode Base64Encode Contains EndsWith Get Head HexDecode HexEncode Reinterpret "
         "Size Slice StartsWith Tail"),
    RULE("Bitwise", ROWWISE, 0,
         "CountOnes CountZeros LeadingOnes LeadingZeros TrailingOnes TrailingZeros"),
    RULE("Bitwise", AGGREGATE, 0, "And Or Xor"),
    RULE("Boolean", ROWWISE, 0, "IsFinite IsInfinite IsNan IsNotNan IsNotNull IsNull Not"),
    RULE("Boolean", ROWWISE, BROADCASTS, "IsBetween IsClose"),
    RULE("Boolean", ROWWISE, IN_PLACE | BROADCASTS, "AllHorizontal AnyHorizontal"),
    RULE("Boolean", ROWWISE, WHOLE_ARGS, "IsIn"),
    RULE("Boolean", AGGREGATE, 0, "All Any HasNulls IsEmpty"),
    RULE("Boolean", AGGREGATE, ORDER, "IsSorted"),
    RULE("Boolean", OTHER, 0, "IsDuplicated IsUnique"),
    RULE("Boolean", OTHER, ORDER, "IsFirstDistinct IsLastDistinct"),
    RULE("Business", ROWWISE, BROADCASTS | TAKES_SERIES,
         "AddBusinessDay BusinessDayCount IsBusinessDay"),
    RULE("Categorical", ROWWISE, 0, "EndsWith LenBytes LenChars Slice StartsWith"),
    RULE("Categorical", OTHER, 0, "Physical To"),
    RULE("Extension", ROWWISE, 0, "Storage To"),
    RULE("FillNullWithStrategy", ROWWISE, 0, "One Zero"),
    RULE("FillNullWithStrategy", OTHER, 0, "Max Mean Min"),
    RULE("FillNullWithStrategy", OTHER, ORDER, "Backward Forward"),
    RULE("ListExpr", ROWWISE, 0,
         "ArgMax ArgMin Contains CountMatches Diff DropNulls Gather GatherEvery Get Join "
         "Length Max Mean Median Min Shift Slice Sort Std Sum ToArray ToMap "
         "ToStruct Var"),
    RULE("ListExpr", ROWWISE, IN_PLACE | BROADCASTS, "Concat"),
    RULE("ListExpr", OTHER, IMPURE, "Sample"),
    RULE("ListExpr", OTHER, 0, "SetOperation"),
    RULE("MapExpr", ROWWISE, 0, "ContainsKey Entries Get Keys Length Values"),
    RULE("Pow", ROWWISE, 0, "Cbrt Sqrt"),
    RULE("Pow", ROWWISE, BROADCASTS, "Generic"),
    RULE("Range", ROWWISE, BROADCASTS,
         "DateRanges DatetimeRanges IntRanges LinearSpaces TimeRanges"),
    RULE("Range", OTHER, ORDER, "DateRange DatetimeRange IntRange LinearSpace TimeRange"),
    RULE("Sql", OTHER, 0, "Binary IsIn Round ToFloat"),
    RULE("StringExpr", ROWWISE, 0,
         "Base64Decode Base64Encode Contains CountMatches EndsWith EscapeRegex Extract "
         "ExtractAll ExtractGroups Find Head HexDecode HexEncode JsonDecode JsonPathMatch "
         "LenBytes LenChars Lowercase Normalize PadEnd PadStart Replace Reverse Slice Split "
         "SplitExact SplitN SplitRegex StartsWith StripChars StripCharsEnd StripCharsStart "
         "StripPrefix StripSuffix Tail Titlecase ToDecimal ToInteger Uppercase ZFill"),
    RULE("StringExpr", ROWWISE, BROADCASTS, "Format"),
    RULE("StringExpr", ROWWISE, IN_PLACE | BROADCASTS, "ConcatHorizontal"),
    RULE("StringExpr", ROWWISE, WHOLE_ARGS, "ContainsAny ExtractMany FindMany ReplaceMany"),
    RULE_IF("StringExpr", ROWWISE, 0, "Strptime", has_format, "with a format"),
    RULE("StringExpr", OTHER, ORDER, "Strptime"),
    RULE("StringExpr", AGGREGATE, ORDER, "ConcatVertical"),
    RULE("StructExpr", ROWWISE, 0,
         "Drop FieldByName JsonEncode MapFieldNames PrefixFields RenameFields SelectFields "
         "SuffixFields"),
    RULE("TemporalExpr", ROWWISE, 0,
         "BaseUtcOffset CastTimeUnit Century ConvertTimeZone DSTOffset Date Day DaysInMonth "
         "Hour IsLeapYear IsoYear Microsecond Millennium Millisecond Minute Month MonthEnd "
         "MonthStart Nanosecond OrdinalDay Quarter Replace ReplaceTimeZone Round Second Time "
         "TimeStamp ToString TotalDays TotalHours TotalMicroseconds TotalMilliseconds "
         "TotalMinutes TotalNanoseconds TotalSeconds Truncate Week WeekDay Year"),
    RULE("TemporalExpr", ROWWISE, BROADCASTS, "Combine DatetimeFunction Duration OffsetBy"),
    RULE("Trigonometry", ROWWISE, 0,
         "ArcCos ArcCosh ArcSin ArcSinh ArcTan ArcTanh Cos Cosh Cot Degrees Radians Sin Sinh "
         "Tan Tanh"),
    RULE("TruncArith", ROWWISE, 0, "IntDiv Rem"),
};

static bool has_word(const char *words, plan_bytes word) {
  for (const char *at = words; *at;) {
    size_t len = strcspn(at, " ");
    if (len == word.len && memcmp(at, word.data, len) == 0) return true;
    at += len + (at[len] == ' ');
  }
  return false;
}

#define EACH_RULE(r) (const function_rule *r = RULES; r < RULES + sizeof RULES / sizeof *RULES; r++)

static bool is_family(plan_bytes name) {
  for
    EACH_RULE(r)
  if (r->family[0] && plan_text_is(name, r->family)) return true;
  return false;
}

static const function_rule *find(plan_bytes family, plan_bytes function) {
  plan_bytes name = plan_value_name(function), arguments = plan_payload(function);
  if (!name.data) return NULL;
  for
    EACH_RULE(r)
  if (plan_text_is(family, r->family) && has_word(r->names, name) &&
      (!r->only_if || r->only_if(arguments)))
    return r;
  return NULL;
}

function_facts expr_function_facts(plan_bytes function) {
  plan_bytes family = plan_value_name(function);
  if (is_family(family))
    function = plan_payload(function);
  else
    family = (plan_bytes){(const uint8_t *)"", 0};
  const function_rule *r = find(family, function);
  if (!r) return (function_facts){FUNCTION_UNKNOWN, FUNCTION_ORDER | FUNCTION_IMPURE};
  return (function_facts){r->kind, r->flags};
}

static void print_flags(buf *page, const function_rule *r) {
  if (r->kind == FUNCTION_ROWWISE && r->flags & FUNCTION_WHOLE_ARGS)
    buf_puts(page, ", when its lists are literals");
  if (r->flags & FUNCTION_BROADCASTS) buf_puts(page, ", also of a literal and columns");
  if (r->kind == FUNCTION_SELECTION) buf_puts(page, "; an aggregate of it is one of its parts");
  if (r->flags & FUNCTION_ORDER) buf_puts(page, ", sees the order of rows");
  if (r->flags & FUNCTION_IMPURE) buf_puts(page, ", not the same each time");
  if (r->condition) buf_printf(page, "; %s", r->condition);
}

void expr_functions_print(buf *page) {
  static const char *const KINDS[] = {"row-wise", "other", "aggregate", "other"};
  buf_puts(page, "| of | functions | what they are |\n|---|---|---|\n");
  for
    EACH_RULE(r) {
      buf_printf(page, "| %s | %s | %s", r->family, r->names, KINDS[r->kind]);
      print_flags(page, r);
      buf_puts(page, " |\n");
    }
}
