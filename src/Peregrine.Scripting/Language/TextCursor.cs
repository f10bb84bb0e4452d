// A place in a script's text: skips blanks and comments, reads words and numbers, and says where it stands. Shared by all parsers here.
using System.Globalization;

namespace Peregrine.Scripting.Language;

/// <summary>A script that cannot be read, and where.</summary>
internal sealed class ScriptSyntaxException(int line, string message) : Exception($"line {line}: {message}");

internal sealed class TextCursor(string text)
{
    private readonly string _text = text;

    internal int Position { get; set; }

    internal bool AtEnd => Position >= _text.Length;

    internal char Current => AtEnd ? '\0' : _text[Position];

    internal int Line => 1 + _text.AsSpan(0, Math.Min(Position, _text.Length)).Count('\n');

    internal char Peek(int ahead) => Position + ahead < _text.Length ? _text[Position + ahead] : '\0';

    internal bool StartsWith(string word) => string.CompareOrdinal(_text, Position, word, 0, word.Length) == 0;

    internal ScriptSyntaxException Error(string message) => new(Line, message);

    /// <summary>Blanks, line ends, and comments of C and C++.</summary>
    internal void SkipBlanks()
    {
        while (!AtEnd)
        {
            if (char.IsWhiteSpace(Current)) Position++;
            else if (StartsWith("//")) SkipLine();
            else if (StartsWith("/*")) Position = End("*/") + 2;
            else return;
        }
    }

    internal void SkipLine()
    {
        while (!AtEnd && Current != '\n') Position++;
    }

    private int End(string mark)
    {
        var at = _text.IndexOf(mark, Position, StringComparison.Ordinal);
        return at >= 0 ? at : throw Error($"'{mark}' is missing");
    }

    /// <summary>The text up to a mark, which is passed over.</summary>
    internal string TakeUntil(string mark)
    {
        var end = End(mark);
        var taken = _text[Position..end];
        Position = end + mark.Length;
        return taken;
    }

    /// <summary>The text up to a quotation mark that no backslash stands before; the marks within are without theirs.</summary>
    internal string TakeQuoted(char mark)
    {
        var start = Position;
        while (!AtEnd && Current != mark) Position += Current == '\\' ? 2 : 1;
        if (AtEnd) throw Error($"'{mark}' is missing");
        var taken = _text[start..Position];
        Position++;
        return taken.Replace($"\\{mark}", mark.ToString(), StringComparison.Ordinal);
    }

    internal bool TryTake(char c)
    {
        SkipBlanks();
        if (Current != c) return false;
        Position++;
        return true;
    }

    internal bool TryTake(string word)
    {
        SkipBlanks();
        if (!StartsWith(word)) return false;
        Position += word.Length;
        return true;
    }

    internal bool TryTakeWord(string word)
    {
        SkipBlanks();
        var after = Peek(word.Length);
        if (!StartsWith(word) || char.IsLetterOrDigit(after) || after == '_') return false;
        Position += word.Length;
        return true;
    }

    internal void Expect(char c)
    {
        if (!TryTake(c)) throw Error($"'{c}' was expected before '{Rest()}'");
    }

    /// <summary>What follows, for a message.</summary>
    internal string Rest()
    {
        var end = _text.IndexOf('\n', Math.Min(Position, _text.Length));
        var rest = _text[Math.Min(Position, _text.Length)..(end < 0 ? _text.Length : end)].Trim();
        return rest.Length > 40 ? rest[..40] + "…" : rest;
    }

    /// <summary>What lies between a position and this one.</summary>
    internal string Since(int position) => _text[position..Math.Min(Position, _text.Length)];

    internal string TakeWhile(Func<char, bool> good)
    {
        var start = Position;
        while (!AtEnd && good(Current)) Position++;
        return _text[start..Position];
    }

    internal string TakeName()
    {
        SkipBlanks();
        var name = TakeWhile(static c => char.IsLetterOrDigit(c) || c is '_');
        return name.Length > 0 ? name : throw Error($"a name was expected before '{Rest()}'");
    }

    internal bool AtNumber
    {
        get
        {
            SkipBlanks();
            return char.IsAsciiDigit(Current) || (Current == '-' && char.IsAsciiDigit(Peek(1)));
        }
    }

    internal long TakeInteger()
    {
        SkipBlanks();
        var negative = TryTake('-');
        string digits;
        long value;
        if (StartsWith("0x") || StartsWith("0X"))
        {
            Position += 2;
            digits = TakeWhile(char.IsAsciiHexDigit);
            if (!ulong.TryParse(digits, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var hex)) throw Error("a hexadecimal number was expected");
            value = (long)hex;
        }
        else
        {
            digits = TakeWhile(char.IsAsciiDigit);
            if (!ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number)) throw Error($"a number was expected before '{Rest()}'");
            value = (long)number;
            if (digits is ['0', _, ..] && digits.All(static d => d < '8')) value = Octal(digits);
        }
        return negative ? -value : value;
    }

    private long Octal(string digits)
    {
        const int digitsMax = 21;
        return digits.TrimStart('0') is { Length: <= digitsMax } few ? few.Aggregate(0L, static (sum, digit) => (sum << 3) | (long)(digit - '0')) : throw Error("a number was expected");
    }

    /// <summary>Seconds with a fraction, in microseconds.</summary>
    internal long TakeSeconds()
    {
        SkipBlanks();
        var whole = TakeWhile(char.IsAsciiDigit);
        var fraction = "";
        // A dot that starts an ellipsis is no decimal point.
        if (Current == '.' && !StartsWith("..."))
        {
            Position++;
            fraction = TakeWhile(char.IsAsciiDigit);
        }
        if (whole.Length + fraction.Length == 0) throw Error($"a time was expected before '{Rest()}'");
        // A year is longer than any script.
        const int digitsMax = 8;
        if (whole.TrimStart('0').Length > digitsMax) throw Error("a time was expected that is not years away");
        var seconds = decimal.Parse($"0{whole}.{fraction[..Math.Min(fraction.Length, digitsMax)]}0", CultureInfo.InvariantCulture);
        return (long)(seconds * 1_000_000m);
    }
}
