// What Python's statements and expressions do when they run. Names and functions that a script gives stay until its end: all its code is one
// program. Steps are counted, so that a loop that has no end is said and not run.
namespace Peregrine.Scripting.Language;

/// <summary>What code knows and changes.</summary>
internal sealed class PythonScope
{
    private const int StepsMax = 1_000_000;
    private const int CallsMax = 32;

    private Dictionary<string, object?> _names = [];
    private int _steps;
    private int _calls;

    /// <summary>Knows the names that the script did not give; null for one that is not known.</summary>
    internal required Func<string, long?> LookUp { get; init; }

    /// <summary>Is told of what is printed.</summary>
    internal Action<string>? Print { get; init; }

    internal string? Failure { get; set; }

    internal object? Returned { get; set; }

    internal object? this[string name]
    {
        get => name switch
        {
            "True" => true,
            "False" => false,
            "None" => null,
            _ when _names.TryGetValue(name, out var value) => value,
            _ when LookUp(name) is { } number => Whole(name, number),
            _ => throw new NotApplicableException($"'{name}' is not kept here"),
        };
        set => _names[name] = value;
    }

    // Fields of tcp_info have no sign; rates without a limit are all ones.
    private static object Whole(string name, long value) => value < 0 && name.StartsWith("tcpi_", StringComparison.Ordinal) ? (Int128)(ulong)value : (Int128)value;

    internal PythonFunction? Function(string name) => _names.GetValueOrDefault(name) as PythonFunction;

    internal PythonFlow Run(List<PythonStatement> statements)
    {
        foreach (var statement in statements)
        {
            Step();
            var flow = statement(this);
            if (flow != PythonFlow.Next || Failure is not null) return flow;
        }
        return PythonFlow.Next;
    }

    internal void Step()
    {
        if (++_steps > StepsMax) throw new NotApplicableException("Python takes too many steps");
    }

    /// <summary>Runs a function: what it gives names is its own.</summary>
    internal object? Call(PythonFunction function, List<object?> arguments)
    {
        if (arguments.Count != function.Parameters.Count) throw new NotApplicableException($"the Python function '{function.Name}' has {function.Parameters.Count} arguments");
        if (++_calls > CallsMax) throw new NotApplicableException("Python is nested too deeply");
        var outer = _names;
        _names = new Dictionary<string, object?>(outer);
        for (var i = 0; i < arguments.Count; i++) _names[function.Parameters[i]] = arguments[i];
        Returned = null;
        Run(function.Body);
        _names = outer;
        _calls--;
        var returned = Returned;
        Returned = null;
        return returned;
    }

    /// <summary>Fields of tcp_info that a text names, with their values.</summary>
    internal IEnumerable<string> Fields(string text)
    {
        foreach (var word in text.Split([' ', ',', '(', ')', '=', '<', '>', '&', '!', '\'', ';', '%', '+', '-', '*', '"', '[', ']', ':', '{', '}'], StringSplitOptions.RemoveEmptyEntries))
        {
            if (word.StartsWith("tcpi_", StringComparison.Ordinal) && LookUp(word) is { } value) yield return $"{word} is {value}";
        }
    }
}

/// <summary>A function that a script defines.</summary>
internal sealed record PythonFunction(string Name, List<string> Parameters, List<PythonStatement> Body);

internal static class PythonBlocks
{
    internal static PythonFlow Nothing(PythonScope scope) => PythonFlow.Next;

    internal static PythonStatement If(PythonExpression condition, List<PythonStatement> then, List<PythonStatement> otherwise) =>
        scope => scope.Run(PythonValues.IsTrue(condition(scope)) ? then : otherwise);

    internal static PythonStatement While(PythonExpression condition, List<PythonStatement> body) => scope =>
    {
        while (PythonValues.IsTrue(condition(scope)))
        {
            scope.Step();
            var flow = scope.Run(body);
            if (scope.Failure is not null || flow == PythonFlow.Break) break;
            if (flow == PythonFlow.Return) return flow;
        }
        return PythonFlow.Next;
    };

    internal static PythonStatement For(string name, PythonExpression items, List<PythonStatement> body) => scope =>
    {
        if (items(scope) is not List<object?> list) throw new NotApplicableException("'for' in Python over what is no list is not understood");
        foreach (var item in list)
        {
            scope.Step();
            scope[name] = item;
            var flow = scope.Run(body);
            if (scope.Failure is not null || flow == PythonFlow.Break) break;
            if (flow == PythonFlow.Return) return flow;
        }
        return PythonFlow.Next;
    };

    internal static PythonStatement Define(string name, List<string> parameters, List<PythonStatement> body) => scope =>
    {
        scope[name] = new PythonFunction(name, parameters, body);
        return PythonFlow.Next;
    };

    internal static PythonStatement Return(PythonExpression value) => scope =>
    {
        scope.Returned = value(scope);
        return PythonFlow.Return;
    };

    internal static PythonStatement Evaluate(PythonExpression value) => scope =>
    {
        value(scope);
        return PythonFlow.Next;
    };

    internal static PythonStatement Assert(PythonExpression condition, string text) => scope =>
    {
        if (PythonValues.IsTrue(condition(scope))) return PythonFlow.Next;
        var fields = string.Join(", ", scope.Fields(text).Distinct());
        scope.Failure = $"'{text}' does not hold" + (fields.Length > 0 ? $"; {fields}" : "");
        return PythonFlow.Next;
    };

    internal static PythonStatement Print(string text) => scope =>
    {
        if (scope.Print is not null && scope.Fields(text).ToList() is { Count: > 0 } seen) scope.Print(string.Join(", ", seen));
        return PythonFlow.Next;
    };

    internal static PythonStatement Assign(List<string> names, PythonExpression value) => scope =>
    {
        var computed = value(scope);
        foreach (var name in names) scope[name] = computed;
        return PythonFlow.Next;
    };

    internal static PythonStatement Change(string name, string sign, PythonExpression value) => scope =>
    {
        scope[name] = PythonValues.Binary(sign, scope[name], value(scope));
        return PythonFlow.Next;
    };

    internal static PythonExpression Name(string name) => scope => scope[name];

    internal static PythonExpression List(List<PythonExpression> items) => scope => items.Select(item => item(scope)).ToList();

    internal static PythonExpression Choose(PythonExpression condition, PythonExpression then, PythonExpression otherwise) =>
        scope => PythonValues.IsTrue(condition(scope)) ? then(scope) : otherwise(scope);

    internal static PythonExpression Either(PythonExpression left, PythonExpression right) => scope => left(scope) is var value && PythonValues.IsTrue(value) ? value : right(scope);

    internal static PythonExpression Both(PythonExpression left, PythonExpression right) => scope => left(scope) is var value && !PythonValues.IsTrue(value) ? value : right(scope);

    internal static PythonExpression Binary(string sign, PythonExpression left, PythonExpression right) => scope => PythonValues.Binary(sign, left(scope), right(scope));

    // a < b < c means both, and b is computed once.
    internal static PythonExpression Chain(List<PythonExpression> operands, List<string> signs) => scope =>
    {
        var left = operands[0](scope);
        for (var i = 0; i < signs.Count; i++)
        {
            var right = operands[i + 1](scope);
            if (!PythonValues.Compare(signs[i], left, right)) return false;
            left = right;
        }
        return true;
    };

    internal static PythonExpression Call(string name, List<PythonExpression> arguments) => scope =>
    {
        scope.Step();
        var values = arguments.ConvertAll(argument => argument(scope));
        return scope.Function(name) is { } function ? scope.Call(function, values) : PythonValues.Call(name, values);
    };

    internal static PythonExpression Item(PythonExpression value, PythonExpression index) => scope =>
    {
        if (value(scope) is not List<object?> list || PythonValues.Whole(index(scope)) is not { } at) throw new NotApplicableException("an index in Python of what is no list is not understood");
        if (at < 0) at += list.Count;
        return at >= 0 && at < list.Count ? list[(int)at] : throw new ScriptFailedException("a list in Python has no such item");
    };
}
