/* SPDX-License-Identifier: MIT */
/*
 * torch_script.c - see torch_script.h: words, expressions by recursive descent, statements.
 *
 * The text is anyone's. Depth, the number of statements and the length of lists are bounded, so
 * that time and memory are proportional to it.
 */
#include "weights/formats/torch_script.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The largest network has some thousand. */
#define STATEMENTS_MAX 8192
#define DEPTH_MAX 8
#define ARGS_MAX 64
#define PATH_MAX_SIZE 1023

enum word_kind { END, LINE, NAME, NUMBER, STRING, SIGN };

struct word {
    enum word_kind kind;
    const char *begin; /* STRING: inside the quotes */
    size_t size;
    double number;
    bool whole;
};

struct variable {
    const char *name;
    size_t size;
    qzi_script_value value;
};

struct parser {
    const qzi_script_reader *reader;
    const char *p;
    size_t line;
    size_t nesting; /* of brackets: lines end only outside */
    struct word word;
    struct variable *variables;
    size_t count, capacity;
};

static qz_status fail(const struct parser *s, qz_status status, const char *what)
{
    return qzi_fail(s->reader->ctx, status, "%s: line %zu of its TorchScript: %s", s->reader->path,
                    s->line, what);
}

static qz_status damaged(const struct parser *s)
{
    return fail(s, QZ_ERR_FORMAT, "not a statement of a plain forward(); the file is damaged");
}

static qz_status not_plain(const struct parser *s)
{
    return fail(s, QZ_ERR_UNSUPPORTED,
                "calls a method or branches; save the module by torch.jit.freeze or "
                "optimize_for_mobile");
}

/* ---- words ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Decimal, as Python writes it: 12, 1., 0.5, 1e-05. The value without regard to the locale. */
static qz_status read_number(struct parser *s)
{
    const char *begin = s->p;
    double value = 0.0;
    int exponent = 0, written = 0;
    bool whole = true, small = false;
    for (; is_digit(*s->p); s->p++)
        value = value * 10.0 + (*s->p - '0');
    if (*s->p == '.') {
        whole = false;
        for (s->p++; is_digit(*s->p); s->p++, exponent--)
            value = value * 10.0 + (*s->p - '0');
    }
    if (*s->p == 'e' || *s->p == 'E') {
        whole = false;
        s->p++;
        small = *s->p == '-';
        if (*s->p == '-' || *s->p == '+')
            s->p++;
        if (!is_digit(*s->p))
            return damaged(s);
        for (; is_digit(*s->p); s->p++)
            written = written < 1000 ? written * 10 + (*s->p - '0') : written;
        exponent += small ? -written : written;
    }
    s->word.size = (size_t)(s->p - begin);
    if (s->word.size > 40 || is_letter(*s->p))
        return damaged(s);
    /* one division or multiplication: half a unit in the last place of a double, for a float */
    double power = 1.0;
    for (int i = exponent < 0 ? -exponent : exponent; i > 0; i--)
        power *= 10.0;
    s->word.kind = NUMBER;
    s->word.number = exponent < 0 ? value / power : value * power;
    s->word.whole = whole;
    return QZ_OK;
}

static qz_status next(struct parser *s)
{
    while (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || (*s->p == '\n' && s->nesting > 0)) {
        s->line += *s->p == '\n';
        s->p++;
    }
    if (*s->p == '#')
        s->p += strcspn(s->p, "\n");
    s->word = (struct word){.kind = SIGN, .begin = s->p, .size = 1};
    if (*s->p == '\0') {
        s->word.kind = END;
    } else if (*s->p == '\n') {
        s->word.kind = LINE;
        s->line++;
        s->p++;
    } else if (is_letter(*s->p)) {
        while (is_letter(*s->p) || is_digit(*s->p))
            s->p++;
        s->word.kind = NAME;
        s->word.size = (size_t)(s->p - s->word.begin);
    } else if (is_digit(*s->p)) {
        return read_number(s);
    } else if (*s->p == '"') {
        s->word.kind = STRING;
        s->word.begin = ++s->p;
        s->word.size = strcspn(s->p, "\"\\\n");
        s->p += s->word.size;
        if (*s->p != '"')
            return damaged(s);
        s->p++;
    } else {
        s->nesting += *s->p == '(' || *s->p == '[';
        if (s->nesting > 0)
            s->nesting -= *s->p == ')' || *s->p == ']';
        s->p++;
    }
    return QZ_OK;
}

static bool is_sign(const struct parser *s, char sign)
{
    return s->word.kind == SIGN && *s->word.begin == sign;
}

static bool is_name(const struct word *word, const char *name)
{
    return word->kind == NAME && word->size == strlen(name) &&
           memcmp(word->begin, name, word->size) == 0;
}

static qz_status expect(struct parser *s, char sign)
{
    return is_sign(s, sign) ? next(s) : damaged(s);
}

/* ---- expressions ---- */

static qz_status read_value(struct parser *s, int depth, qzi_script_value *out);

/* Values up to the closing bracket, into the arena. */
static qz_status read_list(struct parser *s, char close, int depth, qzi_script_value **items,
                           size_t *count)
{
    qzi_script_value list[ARGS_MAX];
    *count = 0;
    while (!is_sign(s, close)) {
        if (*count == ARGS_MAX)
            return fail(s, QZ_ERR_UNSUPPORTED, "a list is too long");
        QZI_TRY(read_value(s, depth + 1, &list[(*count)++]));
        if (!is_sign(s, ',') && !is_sign(s, close))
            return damaged(s);
        if (is_sign(s, ','))
            QZI_TRY(next(s));
    }
    *items = qzi_arena_alloc(s->reader->arena, *count * sizeof(**items));
    if (!*items)
        return QZ_ERR_MEMORY;
    if (*count > 0)
        memcpy(*items, list, *count * sizeof(**items));
    return next(s);
}

/* `path`.`name`, in the arena. */
static qz_status join(struct parser *s, const char *path, const struct word *name, const char **out)
{
    size_t size = strlen(path), dot = size > 0;
    if (size + dot + name->size > PATH_MAX_SIZE)
        return damaged(s);
    char *text = qzi_arena_alloc(s->reader->arena, size + dot + name->size + 1);
    if (!text)
        return QZ_ERR_MEMORY;
    memcpy(text, path, size);
    if (dot)
        text[size] = '.';
    memcpy(text + size + dot, name->begin, name->size);
    *out = text;
    return QZ_OK;
}

/* torch.NAME(…) and ops.NAMESPACE.NAME(…). */
static qz_status read_call(struct parser *s, int depth, qzi_script_value *out)
{
    qzi_script_value *args = NULL;
    qzi_script_call call = {.function = "", .line = s->line};
    QZI_TRY(join(s, "", &s->word, &call.function));
    QZI_TRY(next(s));
    while (is_sign(s, '.')) {
        QZI_TRY(next(s));
        if (s->word.kind != NAME)
            return damaged(s);
        QZI_TRY(join(s, call.function, &s->word, &call.function));
        QZI_TRY(next(s));
    }
    QZI_TRY(expect(s, '('));
    QZI_TRY(read_list(s, ')', depth, &args, &call.count));
    call.args = args;
    *out = (qzi_script_value){.kind = QZI_SCRIPT_TENSOR};
    return s->reader->call(s->reader->user, &call, &out->tensor);
}

static qz_status read_getattr(struct parser *s, int depth, qzi_script_value *out)
{
    QZI_TRY(next(s));
    QZI_TRY(expect(s, '('));
    QZI_TRY(read_value(s, depth + 1, out));
    QZI_TRY(expect(s, ','));
    if (out->kind != QZI_SCRIPT_PATH || s->word.kind != STRING)
        return damaged(s);
    QZI_TRY(join(s, out->path, &s->word, &out->path));
    QZI_TRY(next(s));
    return expect(s, ')');
}

static qz_status read_name(struct parser *s, qzi_script_value *out)
{
    const struct word name = s->word;
    QZI_TRY(next(s));
    *out = (qzi_script_value){.kind = QZI_SCRIPT_NONE};
    if (is_name(&name, "None") || is_name(&name, "True") || is_name(&name, "False"))
        return QZ_OK;
    if (is_name(&name, "self")) {
        *out = (qzi_script_value){.kind = QZI_SCRIPT_PATH, .path = ""};
        return QZ_OK;
    }
    for (size_t i = s->count; i-- > 0;)
        if (s->variables[i].size == name.size &&
            memcmp(s->variables[i].name, name.begin, name.size) == 0) {
            *out = s->variables[i].value;
            return QZ_OK;
        }
    return is_sign(s, '(') || is_sign(s, '.') ? not_plain(s) : damaged(s);
}

static qz_status read_value(struct parser *s, int depth, qzi_script_value *out)
{
    const bool minus = is_sign(s, '-');
    if (depth > DEPTH_MAX)
        return fail(s, QZ_ERR_UNSUPPORTED, "an expression is nested too deep");
    if (minus)
        QZI_TRY(next(s));
    if (s->word.kind == NUMBER || minus) {
        if (s->word.kind != NUMBER)
            return damaged(s);
        *out = (qzi_script_value){.kind = QZI_SCRIPT_NUMBER,
                                  .number = minus ? -s->word.number : s->word.number,
                                  .whole = s->word.whole};
        return next(s);
    }
    if (s->word.kind == STRING) {
        *out = (qzi_script_value){.kind = QZI_SCRIPT_NONE};
        return next(s);
    }
    if (is_sign(s, '[')) {
        *out = (qzi_script_value){.kind = QZI_SCRIPT_LIST};
        QZI_TRY(next(s));
        return read_list(s, ']', depth, &out->items, &out->count);
    }
    if (is_name(&s->word, "torch") || is_name(&s->word, "ops"))
        return read_call(s, depth, out);
    if (is_name(&s->word, "getattr")) {
        QZI_TRY(read_getattr(s, depth, out));
    } else if (is_sign(s, '(')) {
        QZI_TRY(next(s));
        QZI_TRY(read_value(s, depth + 1, out));
        QZI_TRY(expect(s, ')'));
    } else if (s->word.kind == NAME) {
        QZI_TRY(read_name(s, out));
    } else {
        return damaged(s);
    }
    while (is_sign(s, '.') && out->kind == QZI_SCRIPT_PATH) {
        QZI_TRY(next(s));
        if (s->word.kind != NAME)
            return damaged(s);
        QZI_TRY(join(s, out->path, &s->word, &out->path));
        QZI_TRY(next(s));
    }
    return is_sign(s, '(') || is_sign(s, '.') ? not_plain(s) : QZ_OK;
}

/* ---- statements ---- */

static qz_status set_variable(struct parser *s, const struct word *name,
                              const qzi_script_value *value)
{
    if (s->count >= STATEMENTS_MAX)
        return fail(s, QZ_ERR_UNSUPPORTED, "it has too many statements");
    QZI_TRY(qzi_grow(s->reader->ctx, &s->variables, &s->capacity, s->count, sizeof(*s->variables)));
    s->variables[s->count++] =
        (struct variable){.name = name->begin, .size = name->size, .value = *value};
    return QZ_OK;
}

/* "(self: TYPE, X: Tensor) -> Tensor:": two arguments, of which the second is the image. */
static qz_status read_signature(struct parser *s)
{
    const qzi_script_value image = {.kind = QZI_SCRIPT_IMAGE};
    QZI_TRY(next(s));
    QZI_TRY(expect(s, '('));
    if (!is_name(&s->word, "self"))
        return damaged(s);
    while (!is_sign(s, ',') && !is_sign(s, ')') && s->word.kind != END)
        QZI_TRY(next(s));
    QZI_TRY(expect(s, ','));
    if (s->word.kind != NAME)
        return damaged(s);
    QZI_TRY(set_variable(s, &s->word, &image));
    while (!is_sign(s, ')')) {
        if (is_sign(s, ',') || s->word.kind == END)
            return fail(s, QZ_ERR_UNSUPPORTED, "its forward() takes more than one image");
        QZI_TRY(next(s));
    }
    while (s->word.kind != LINE) {
        if (s->word.kind == END)
            return damaged(s);
        QZI_TRY(next(s));
    }
    return next(s);
}

static qz_status read_statements(struct parser *s, qzi_script_value *result)
{
    for (;;) {
        while (s->word.kind == LINE)
            QZI_TRY(next(s));
        const struct word name = s->word;
        qzi_script_value value = {0};
        if (name.kind != NAME)
            return damaged(s);
        if (is_name(&name, "if") || is_name(&name, "for") || is_name(&name, "while"))
            return not_plain(s);
        QZI_TRY(next(s));
        if (is_name(&name, "return"))
            return read_value(s, 0, result);
        QZI_TRY(expect(s, '='));
        QZI_TRY(read_value(s, 0, &value));
        if (s->word.kind != LINE)
            return damaged(s);
        QZI_TRY(set_variable(s, &name, &value));
    }
}

qz_status qzi_script_read(const qzi_script_reader *reader, const char *text,
                          qzi_script_value *result)
{
    static const char begin[] = "def forward";
    const char *start = strstr(text, begin);
    struct parser s = {.reader = reader, .line = 1};
    if (!start)
        return qzi_fail(reader->ctx, QZ_ERR_UNSUPPORTED, "%s: its TorchScript has no forward()",
                        reader->path);
    for (const char *p = text; p < start; p++)
        s.line += *p == '\n';
    s.p = start + sizeof(begin) - 1;
    qz_status st = read_signature(&s);
    if (st == QZ_OK)
        st = read_statements(&s, result);
    qzi_free(reader->ctx, s.variables);
    return st;
}
