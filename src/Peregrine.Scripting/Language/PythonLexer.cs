// Python's words: numbers, strings, names and signs in logical lines, with how far each line is indented. Lines within brackets and behind a
// backslash go on; # starts a comment. What is no Python is said to be not understood.
using System.Globalization;
using System.Text;

namespace Peregrine.Scripting.Language;

internal enum PythonKind
{
    Name,
    Integer,
    Fraction,
    Text,
    Sign,
    LineEnd,
    Indent,
    Dedent,
    End,
}

/// <summary>One word.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Text">As it stands there; of a string, what it says.</param>
/// <param name="Value">Of a number.</param>
/// <param name="At">Where it begins.</param>
internal readonly record struct PythonToken(PythonKind Kind, string Text, object? Value, int At);

internal sealed class PythonLexer(string source)
{
    private const int IndentsMax = 64;

    // The longest first.
    private static readonly string[] s_signs =
    [
        "**=", "//=", "<<=", ">>=", "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "<>", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "->", ":=",
        "+", "-", "*", "/", "%", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ":", ";", ".", "&", "|", "^", "~", "@",
    ];

    private readonly List<PythonToken> _tokens = [];
    private readonly Stack<int> _indents = new();
    private int _at;
    private int _brackets;

    internal static List<PythonToken> Read(string source) => new PythonLexer(source).Read();

    private List<PythonToken> Read()
    {
        var isFirst = true;
        while (_at < source.Length)
        {
            var column = SkipIndent();
            if (_at >= source.Length) break;
            if (source[_at] is '\n' or '\r' or '#')
            {
                SkipLine();
                continue;
            }
            // The first statement may stand beside the mark that opens the code: then the second says where lines begin.
            if (isFirst) _indents.Push(StartsBesideMark() ? ColumnOfNextLine() : column);
            else Indent(column);
            isFirst = false;
            Line();
        }
        while (_indents.Count > 1)
        {
            _indents.Pop();
            Add(PythonKind.Dedent, "");
        }
        Add(PythonKind.End, "");
        return _tokens;
    }

    private bool StartsBesideMark() => source.AsSpan(0, _at).IndexOf('\n') < 0;

    private int ColumnOfNextLine()
    {
        var end = source.IndexOf('\n', _at);
        var line = end < 0 ? source[_at..] : source[_at..end];
        if (end < 0 || line.TrimEnd().EndsWith(':')) return 0;
        foreach (var next in source[(end + 1)..].Split('\n'))
        {
            if (next.Trim().Length > 0 && next.TrimStart()[0] != '#') return next.Length - next.TrimStart().Length;
        }
        return 0;
    }

    private int SkipIndent()
    {
        var column = 0;
        for (; _at < source.Length && source[_at] is ' ' or '\t'; _at++) column = source[_at] == '\t' ? (column / 8 + 1) * 8 : column + 1;
        return column;
    }

    private void SkipLine()
    {
        while (_at < source.Length && source[_at] != '\n') _at++;
        _at++;
    }

    // What is further left than the first line is on its level.
    private void Indent(int column)
    {
        if (column > _indents.Peek())
        {
            if (_indents.Count >= IndentsMax) throw new NotApplicableException("Python is indented too deeply");
            _indents.Push(column);
            Add(PythonKind.Indent, "");
        }
        while (_indents.Count > 1 && column < _indents.Peek())
        {
            _indents.Pop();
            Add(PythonKind.Dedent, "");
        }
    }

    private void Add(PythonKind kind, string text, object? value = null, int? at = null) => _tokens.Add(new PythonToken(kind, text, value, at ?? _at));

    // One logical line.
    private void Line()
    {
        while (_at < source.Length)
        {
            var c = source[_at];
            if (c == '\n' && _brackets == 0) break;
            if (c == '#') SkipComment();
            else if (c == '\\' && _at + 1 < source.Length && source[_at + 1] is '\n' or '\r') _at += 2;
            else if (char.IsWhiteSpace(c)) _at++;
            else if (char.IsAsciiDigit(c) || (c == '.' && _at + 1 < source.Length && char.IsAsciiDigit(source[_at + 1]))) Number();
            else if (c is '"' or '\'') Text(isRaw: false);
            else if (char.IsLetter(c) || c == '_') Word();
            else Sign();
        }
        Add(PythonKind.LineEnd, "");
        _at++;
    }

    private void SkipComment()
    {
        while (_at < source.Length && source[_at] != '\n') _at++;
    }

    private void Word()
    {
        var start = _at;
        while (_at < source.Length && (char.IsLetterOrDigit(source[_at]) || source[_at] == '_')) _at++;
        var word = source[start.._at];
        // r"", f"", b"", u"" and two of them.
        if (_at < source.Length && source[_at] is '"' or '\'' && word.Length <= 2 && word.All(static c => "rRfFbBuU".Contains(c)))
            Text(word.Contains('r', StringComparison.OrdinalIgnoreCase), isFormat: word.Contains('f', StringComparison.OrdinalIgnoreCase));
        else Add(PythonKind.Name, word, at: start);
    }

    private void Text(bool isRaw, bool isFormat = false)
    {
        var start = _at;
        var quote = source[_at];
        var mark = string.CompareOrdinal(source, _at, new string(quote, 3), 0, 3) == 0 ? new string(quote, 3) : quote.ToString();
        _at += mark.Length;
        var text = new StringBuilder();
        while (_at < source.Length && string.CompareOrdinal(source, _at, mark, 0, mark.Length) != 0)
        {
            if (source[_at] == '\\' && !isRaw && _at + 1 < source.Length)
            {
                _at++;
                text.Append(source[_at] switch { 'n' => '\n', 't' => '\t', 'r' => '\r', '0' => '\0', var c => c });
            }
            else
            {
                text.Append(source[_at]);
            }
            _at++;
        }
        if (_at >= source.Length) throw new NotApplicableException("a string in Python has no end");
        _at += mark.Length;
        Add(PythonKind.Text, text.ToString(), isFormat, start);
    }

    private void Number()
    {
        var start = _at;
        if (source[_at] == '0' && _at + 1 < source.Length && char.ToLowerInvariant(source[_at + 1]) is var kind and ('x' or 'o' or 'b'))
        {
            _at += 2;
            var digits = Take(static c => char.IsAsciiHexDigit(c) || c == '_');
            Integer(start, digits.Replace("_", "", StringComparison.Ordinal), kind switch { 'x' => 16, 'o' => 8, _ => 2 });
            return;
        }
        var text = Take(static c => char.IsAsciiDigit(c) || c == '_').Replace("_", "", StringComparison.Ordinal);
        var isFraction = false;
        if (_at < source.Length && source[_at] == '.')
        {
            isFraction = true;
            _at++;
            text += "." + Take(char.IsAsciiDigit);
        }
        if (_at + 1 < source.Length && source[_at] is 'e' or 'E' && (char.IsAsciiDigit(source[_at + 1]) || source[_at + 1] is '-' or '+'))
        {
            isFraction = true;
            text += "e" + source[_at + 1];
            _at += 2;
            text += Take(char.IsAsciiDigit);
        }
        if (!isFraction) Integer(start, text, text is ['0', _, ..] && text.All(static d => d < '8') ? 8 : 10);
        else if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var fraction)) Add(PythonKind.Fraction, text, fraction, start);
        else throw new NotApplicableException($"'{text}' in Python is no number");
    }

    private string Take(Func<char, bool> good)
    {
        var start = _at;
        while (_at < source.Length && good(source[_at])) _at++;
        return source[start.._at];
    }

    private void Integer(int start, string digits, int radix)
    {
        // Python 2's long integers.
        if (_at < source.Length && source[_at] is 'L' or 'l') _at++;
        Int128 value = 0;
        foreach (var digit in digits)
        {
            var d = char.IsAsciiHexDigit(digit) ? Convert.ToInt32(digit.ToString(), 16) : radix;
            if (d >= radix || value > (Int128)1 << 100) throw new NotApplicableException($"'{digits}' in Python is no number");
            value = (value * radix) + d;
        }
        if (digits.Length == 0) throw new NotApplicableException("a number in Python has no digits");
        Add(PythonKind.Integer, digits, value, start);
    }

    private void Sign()
    {
        foreach (var sign in s_signs)
        {
            if (string.CompareOrdinal(source, _at, sign, 0, sign.Length) != 0) continue;
            if (sign is "(" or "[" or "{") _brackets++;
            if (sign is ")" or "]" or "}") _brackets = Math.Max(0, _brackets - 1);
            Add(PythonKind.Sign, sign);
            _at += sign.Length;
            return;
        }
        throw new NotApplicableException($"'{source[_at]}' in Python is not understood");
    }
}
