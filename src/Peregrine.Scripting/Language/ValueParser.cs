// Reads the values in calls: numbers, strings, constants, flags joined by bars, lists, structures, and the dots.
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Language;

internal static class ValueParser
{
    private const int DepthMax = 16;

    internal static ScriptValue Take(TextCursor at, int depth = 0)
    {
        if (depth > DepthMax) throw at.Error("values are nested too deeply");
        var first = TakeOne(at, depth);
        if (!at.TryTake('|')) return first;
        var parts = new List<ScriptValue> { first };
        do parts.Add(TakeOne(at, depth));
        while (at.TryTake('|'));
        return new Or(parts);
    }

    private static ScriptValue TakeOne(TextCursor at, int depth)
    {
        at.SkipBlanks();
        if (at.TryTake("...")) return new Ellipsis();
        if (at.TryTake('"')) return TakeText(at);
        if (at.TryTake('[')) return new List(TakeList(at, ']', depth));
        if (at.TryTake('{')) return new Struct(TakeFields(at, depth));
        if (at.TryTake('(')) return Parenthesis(at, depth);
        if (at.AtNumber) return Factor(at, new Number(at.TakeInteger()), depth);
        var name = at.TakeName();
        if (at.Current == '(')
        {
            at.Position++;
            return new Call(name, TakeList(at, ')', depth));
        }
        return new Name(name);
    }

    // Strings side by side are one; dots behind one stand for as much more as the length says.
    private static Text TakeText(TextCursor at)
    {
        var text = at.TakeQuoted('"');
        while (at.TryTake('"')) text += at.TakeQuoted('"');
        at.TryTake("...");
        return new Text(text);
    }

    private static ScriptValue Factor(TextCursor at, Number left, int depth)
    {
        if (!at.TryTake('*')) return left;
        return TakeOne(at, depth + 1) is Number right ? new Number(left.Value * right.Value) : throw at.Error("a number was expected after '*'");
    }

    private static ScriptValue Parenthesis(TextCursor at, int depth)
    {
        var value = Take(at, depth + 1);
        at.Expect(')');
        return value;
    }

    internal static List<ScriptValue> TakeList(TextCursor at, char end, int depth = 0)
    {
        var items = new List<ScriptValue>();
        while (!at.TryTake(end))
        {
            // A field may stand where a structure is meant: {events=EPOLLIN, …} in braces, revents=… without.
            items.Add(TakeNamed(at, depth + 1) is { Key: "" } plain ? plain.Value : throw at.Error("a value was expected"));
            if (at.TryTake(',')) continue;
            at.Expect(end);
            break;
        }
        return items;
    }

    private static List<KeyValuePair<string, ScriptValue>> TakeFields(TextCursor at, int depth)
    {
        var fields = new List<KeyValuePair<string, ScriptValue>>();
        while (!at.TryTake('}'))
        {
            fields.Add(TakeNamed(at, depth + 1));
            if (at.TryTake(',')) continue;
            at.Expect('}');
            break;
        }
        return fields;
    }

    private static KeyValuePair<string, ScriptValue> TakeNamed(TextCursor at, int depth)
    {
        var value = Take(at, depth);
        if (at.Current is not '=' and not ' ' || !at.TryTake('=')) return new("", value);
        var name = value switch
        {
            Name plain => plain.Value,
            Call call => call.Function,
            _ => throw at.Error("a field's name was expected before '='"),
        };
        return new(name, Take(at, depth));
    }
}
