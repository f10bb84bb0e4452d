// Reads a script: options, events, and their times. Packets and values have parsers of their own. A text that cannot be read is an
// exception with the line; nothing here knows what a script means.
namespace Peregrine.Scripting.Language;

internal static class ScriptParser
{
    private const int LengthMax = 4 * 1024 * 1024;

    /// <summary>Reads a script.</summary>
    /// <exception cref="ScriptSyntaxException">It is no script; the message has the line.</exception>
    internal static Script Parse(string name, string text)
    {
        if (text.Length > LengthMax) throw new ScriptSyntaxException(1, "the file is larger than 4 MiB");
        var at = new TextCursor(text);
        var options = new List<KeyValuePair<string, string>>();
        var events = new List<ScriptEvent>();
        while (true)
        {
            at.SkipBlanks();
            if (at.AtEnd) return new Script(name, options, events);
            if (at.StartsWith("--")) options.Add(TakeOption(at));
            else if (at.Current == '`') events.Add(TakeShell(at, at.Line, default, events.Count == 0));
            else events.Add(TakeEvent(at));
        }
    }

    private static KeyValuePair<string, string> TakeOption(TextCursor at)
    {
        at.Position += 2;
        var name = at.TakeWhile(static c => char.IsLetterOrDigit(c) || c is '_' or '-');
        var value = "";
        if (at.Current == '=')
        {
            at.Position++;
            value = at.Current == '"' && at.TryTake('"') ? at.TakeQuoted('"') : at.TakeWhile(static c => !char.IsWhiteSpace(c));
        }
        return new(name, value);
    }

    private static ScriptEvent TakeEvent(TextCursor at)
    {
        var line = at.Line;
        var time = TakeTime(at);
        at.SkipBlanks();
        if (at.Current == '`') return TakeShell(at, line, time, false);
        if (at.TryTake("%{")) return new CodeEvent(line, time, at.TakeUntil("}%"));
        if (at.Current is '<' or '>')
        {
            var inbound = at.Current == '<';
            at.Position++;
            return new PacketEvent(line, time, inbound, PacketParser.Take(at));
        }
        return TakeCall(at, line, time);
    }

    private static ShellEvent TakeShell(TextCursor at, int line, EventTime time, bool initial)
    {
        at.Position++;
        return new ShellEvent(line, time, at.TakeQuoted('`'), initial);
    }

    private static EventTime TakeTime(TextCursor at)
    {
        var relative = at.TryTake('+');
        if (at.TryTake('*')) return new EventTime(TimeKind.Any, 0, null, null);
        var kind = relative ? TimeKind.Relative : TimeKind.Absolute;
        var start = at.TakeSeconds();
        at.SkipBlanks();
        if (at.TryTake('~'))
        {
            at.TryTake('+');
            return new EventTime(kind, start, at.TakeSeconds(), null);
        }
        if (!at.StartsWith("...")) return new EventTime(kind, start, null, null);
        at.Position += 3;
        at.TryTake('+');
        return new EventTime(kind, start, null, at.TakeSeconds());
    }

    private static CallEvent TakeCall(TextCursor at, int line, EventTime time)
    {
        var name = at.TakeName();
        at.Expect('(');
        var arguments = ValueParser.TakeList(at, ')');
        at.Expect('=');
        ScriptValue result = at.TryTake('?') ? new ScriptValue.Ellipsis() : ValueParser.Take(at);
        at.SkipBlanks();
        string? errno = null;
        if (at.Current == 'E' && char.IsAsciiLetterUpper(at.Peek(1))) errno = at.TakeName();
        SkipNote(at);
        return new CallEvent(line, time, name, arguments, result, errno);
    }

    // What stands in parentheses behind a result is for people.
    private static void SkipNote(TextCursor at)
    {
        at.SkipBlanks();
        if (at.Current != '(') return;
        var depth = 0;
        do
        {
            if (at.AtEnd) throw at.Error("')' is missing");
            if (at.Current == '(') depth++;
            if (at.Current == ')') depth--;
            at.Position++;
        }
        while (depth > 0);
    }
}
