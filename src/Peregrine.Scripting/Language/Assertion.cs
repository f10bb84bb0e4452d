// The Python that scripts have between %{ and }%: assertions and prints over integers, as much of the language as they use. Names are
// looked up by the caller. A statement of another kind makes the script not applicable.
using System.Globalization;

namespace Peregrine.Scripting.Language;

internal sealed class Assertion(string text, Func<string, long?> lookUp, Action<string>? print = null)
{
    private const int DepthMax = 32;

    private readonly TextCursor _at = new(Prepare(text));
    private readonly Dictionary<string, long> _variables = [];

    /// <summary>Runs all statements; the text of the assertion that does not hold, or null.</summary>
    /// <param name="text">The statements.</param>
    /// <param name="lookUp">Knows the names.</param>
    /// <param name="print">Is told of the fields of tcp_info that are printed.</param>
    internal static string? Run(string text, Func<string, long?> lookUp, Action<string>? print = null) => new Assertion(text, lookUp, print).Run();

    // A backslash at a line's end joins it to the next, and # starts a comment.
    private static string Prepare(string text) => string.Join('\n', text.Replace("\\\n", " ", StringComparison.Ordinal).Split('\n').Select(static line =>
    {
        var hash = line.IndexOf('#', StringComparison.Ordinal);
        return hash < 0 ? line : line[..hash];
    }));

    private string? Run()
    {
        while (true)
        {
            _at.TakeWhile(static c => char.IsWhiteSpace(c) || c == ';');
            if (_at.AtEnd) return null;
            var start = _at.Position;
            if (_at.TryTakeWord("assert"))
            {
                var statement = _at.Rest();
                if (Or(0) == 0) return Explain(statement);
                SkipToEnd();
            }
            else if (_at.TryTakeWord("print") || _at.TryTakeWord("import") || _at.TryTakeWord("pass"))
            {
                var from = _at.Position;
                SkipToEnd();
                if (print is not null) Tell(print, _at.Since(from));
            }
            else
            {
                Assign(start);
            }
        }
    }

    private void Assign(int start)
    {
        var name = _at.TakeName();
        if (!_at.TryTake('=') || _at.Current == '=')
        {
            _at.Position = start;
            throw new NotApplicableException($"Python statement '{_at.Rest()}' is not understood");
        }
        _variables[name] = Or(0);
        SkipToEnd();
    }

    // What follows an assertion's comma is its message, and it may have brackets and strings in it.
    private void SkipToEnd()
    {
        var depth = 0;
        while (!_at.AtEnd)
        {
            var c = _at.Current;
            if (c is '(' or '[') depth++;
            if (c is ')' or ']') depth--;
            if (depth <= 0 && c is ';' or '\n') return;
            _at.Position++;
            if (c is '"' or '\'') _at.TakeUntil(c.ToString());
        }
    }

    private void Tell(Action<string> print, string statement)
    {
        var seen = Fields(statement).ToList();
        if (seen.Count > 0) print(string.Join(", ", seen));
    }

    private string Explain(string statement) => $"'{statement}' does not hold; {string.Join(", ", Fields(statement).Distinct())}";

    private IEnumerable<string> Fields(string statement)
    {
        foreach (var word in statement.Split([' ', ',', '(', ')', '=', '<', '>', '&', '!', '\'', ';', '%', '+', '-', '*'], StringSplitOptions.RemoveEmptyEntries))
        {
            if (word.StartsWith("tcpi_", StringComparison.Ordinal) && lookUp(word) is { } value) yield return $"{word} is {value}";
        }
    }

    private long Or(int depth)
    {
        var value = And(depth);
        while (_at.TryTakeWord("or")) value |= Truth(And(depth));
        return value;
    }

    private long And(int depth)
    {
        var value = Not(depth);
        while (_at.TryTakeWord("and"))
        {
            var right = Not(depth);
            value = value != 0 && right != 0 ? 1 : 0;
        }
        return value;
    }

    private static long Truth(long value) => value != 0 ? 1 : 0;

    private long Not(int depth) => _at.TryTakeWord("not") ? 1 - Truth(Not(depth + 1)) : Compare(depth);

    // a < b < c means both.
    private long Compare(int depth)
    {
        var left = Bits(depth);
        var result = left;
        for (var first = true; TryComparison(out var comparison); first = false)
        {
            var right = Bits(depth);
            var holds = comparison switch
            {
                "==" => left == right,
                "!=" => left != right,
                "<=" => left <= right,
                ">=" => left >= right,
                "<" => left < right,
                _ => left > right,
            };
            result = holds && (first || result != 0) ? 1 : 0;
            left = right;
        }
        return result;
    }

    private bool TryComparison(out string comparison)
    {
        foreach (var one in (ReadOnlySpan<string>)["==", "!=", "<=", ">=", "<", ">"])
        {
            comparison = one;
            if (_at.TryTake(one)) return true;
        }
        comparison = "";
        return false;
    }

    private long Bits(int depth)
    {
        var value = Sum(depth);
        while (true)
        {
            if (_at.TryTake('&')) value &= Sum(depth);
            else if (_at.TryTake('|')) value |= Sum(depth);
            else if (_at.TryTake('^')) value ^= Sum(depth);
            else return value;
        }
    }

    private long Sum(int depth)
    {
        var value = Product(depth);
        while (true)
        {
            if (_at.TryTake('+')) value += Product(depth);
            else if (_at.TryTake('-')) value -= Product(depth);
            else return value;
        }
    }

    private long Product(int depth)
    {
        var value = Unary(depth);
        while (true)
        {
            if (_at.TryTake('*')) value *= Unary(depth);
            else if (_at.TryTake("//") || _at.TryTake('/')) value = Divide(value, Unary(depth), modulo: false);
            else if (_at.TryTake('%')) value = Divide(value, Unary(depth), modulo: true);
            else return value;
        }
    }

    private long Divide(long left, long right, bool modulo) =>
        right == 0 ? throw _at.Error("division by zero") : modulo ? left % right : left / right;

    private long Unary(int depth)
    {
        if (depth > DepthMax) throw _at.Error("the expression is nested too deeply");
        if (_at.TryTake('-')) return -Unary(depth + 1);
        if (_at.TryTake('~')) return ~Unary(depth + 1);
        if (_at.TryTake('('))
        {
            var inner = Or(depth + 1);
            _at.Expect(')');
            return inner;
        }
        if (_at.AtNumber) return Number();
        var name = _at.TakeName();
        if (_at.TryTake('(')) return Function(name, depth);
        if (name is "True") return 1;
        if (name is "False" or "None") return 0;
        if (_variables.TryGetValue(name, out var variable)) return variable;
        return lookUp(name) ?? throw new NotApplicableException($"'{name}' is not kept here");
    }

    private long Number()
    {
        var value = _at.TakeInteger();
        if (_at.Current != '.' || !char.IsAsciiDigit(_at.Peek(1))) return value;
        throw new NotApplicableException(string.Create(CultureInfo.InvariantCulture, $"fractions ({value}.…) in Python are not understood"));
    }

    private long Function(string name, int depth)
    {
        var arguments = new List<long>();
        while (!_at.TryTake(')'))
        {
            arguments.Add(Or(depth + 1));
            _at.TryTake(',');
        }
        return name switch
        {
            "abs" when arguments.Count == 1 => Math.Abs(arguments[0]),
            "int" when arguments.Count == 1 => arguments[0],
            "min" when arguments.Count > 0 => arguments.Min(),
            "max" when arguments.Count > 0 => arguments.Max(),
            _ => throw new NotApplicableException($"the Python function '{name}' is not understood"),
        };
    }
}
