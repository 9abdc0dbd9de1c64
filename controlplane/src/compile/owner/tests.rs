use super::*;
use crate::compile::owners::Owners;
use crate::fixture::{name, service};
use crate::service::Health;
use crate::service::{Compose, Protocol};

fn member(instance: &str) -> Member {
    Member(Arc::new(service("e", instance)))
}

fn instances(services: &[&Service]) -> Vec<String> {
    services
        .iter()
        .map(|service| service.instance.to_string())
        .collect()
}

fn with(instance: &str, change: impl FnOnce(&mut Service)) -> Member {
    let mut service = service("e", instance);
    change(&mut service);
    Member(Arc::new(service))
}

/// Who stands at some name.
struct At(Owners);

impl At {
    /// These, for that reason.
    fn of(role: Role, members: impl IntoIterator<Item = Member>) -> Self {
        let mut at = Self(Owners::new());
        for member in members {
            at.insert(role, member);
        }
        at
    }

    fn insert(&mut self, role: Role, member: Member) -> bool {
        self.0.insert(&name("x"), role, member)
    }

    fn remove(&mut self, role: Role, member: &Member) -> bool {
        self.0.remove(&name("x"), role, member)
    }

    /// Whom its records are to speak for, and what is wrong with it now.
    fn compile(&mut self) -> (Chosen<'_>, Option<Trouble>) {
        let noted = self.0.get(&name("x")).unwrap().choose().noted;
        let news = noted.and_then(|noted| self.0.chose(&name("x"), noted));
        (self.0.get(&name("x")).unwrap().choose(), news)
    }

    fn choose(&mut self) -> Chosen<'_> {
        self.compile().0
    }
}

/// Who of `a`, `b` and so on, of these healths, a name of that role leads to.
fn check_health(role: Role, healths: &[Health], expected: &[&str]) {
    let of = |(place, health): (usize, &Health)| {
        let instance = ["a", "b", "c", "d"][place];
        with(instance, |service| service.health = *health)
    };
    let mut owner = At::of(role, healths.iter().enumerate().map(of));
    assert_eq!(
        instances(&owner.choose().forward),
        expected,
        "{role:?} {healths:?}"
    );
}

#[test]
fn a_shared_name_leads_to_those_who_can_work_else_to_those_who_start_and_never_to_the_sick() {
    use Health::{Healthy, None, Starting, Unhealthy};
    for role in [
        Role::Environment,
        Role::Service,
        Role::ComposeService,
        Role::ComposeBare,
    ] {
        check_health(role, &[Healthy, Starting, Unhealthy, None], &["a", "d"]);
        check_health(role, &[Unhealthy, Starting, Starting], &["b", "c"]);
        check_health(role, &[Unhealthy, Unhealthy], &[]);
        check_health(role, &[Unhealthy], &[]);
        check_health(role, &[Starting], &["a"]);
    }
}

#[test]
fn a_name_of_one_leads_there_whatever_its_health() {
    use Health::{Healthy, Starting, Unhealthy};
    for role in [Role::Instance, Role::Uuid, Role::Container, Role::ComposeInstance] {
        check_health(role, &[Unhealthy], &["a"]);
        check_health(role, &[Healthy, Starting, Unhealthy], &["a", "b", "c"]);
    }
}

/// One of a service `web` of a Compose project.
fn composed(instance: &str, project: &str) -> Member {
    let compose = Compose {
        project: project.into(),
        service: "web".into(),
        number: None,
    };
    with(instance, |service| service.compose = Some(Box::new(compose)))
}

#[test]
fn a_name_that_compose_services_share_is_given_to_one_project_or_to_none() {
    for role in [Role::ComposeBare, Role::Service] {
        let mut owner = At::of(role, [composed("a", "shop"), composed("b", "shop")]);
        assert_eq!(instances(&owner.choose().forward), ["a", "b"]);
        assert!(owner.insert(role, composed("c", "blog")));
        let (chosen, news) = owner.compile();
        let rivals = Trouble::Rivals(["blog", "shop"].map(str::to_owned).to_vec());
        assert_eq!(
            (chosen.forward.len(), chosen.is_contested, news),
            (0, true, Some(rivals))
        );
        assert_eq!(owner.compile().1, None, "told once");
        // It is another's now, and the name is the one project's again.
        assert!(owner.insert(role, composed("c", "shop")));
        assert_eq!(instances(&owner.choose().forward), ["a", "b", "c"]);
        owner.insert(role, composed("d", "blog"));
        assert_eq!(instances(&owner.choose().forward).len(), 0);
        assert!(owner.remove(role, &composed("d", "blog")));
        assert_eq!(instances(&owner.choose().forward), ["a", "b", "c"]);
    }
}

#[test]
fn ports_of_the_sick_keep_their_names_and_those_of_who_lost_the_name_have_none() {
    let port = |number| Port {
        protocol: Protocol::Tcp,
        number,
    };
    let sick = with("a", |service| {
        service.health = Health::Unhealthy;
        service.ports = vec![port(1)].into();
    });
    let well = with("b", |service| service.ports = vec![port(2), port(3)].into());
    let mut owner = At::of(Role::Container, [sick.clone(), well.clone()]);
    assert_eq!(owner.choose().ports, [port(1), port(2), port(3)]);
    owner.insert(Role::Service, sick);
    let chosen = owner.choose();
    assert_eq!(chosen.ports, [port(1)]);
    owner.insert(Role::Environment, well);
    let chosen = owner.choose();
    assert_eq!(chosen.ports, []);
}

#[test]
fn members_are_in_order_whatever_order_they_came_in() {
    let mut owner = At::of(Role::Service, [member("c")]);
    for instance in ["a", "d", "b"] {
        assert!(owner.insert(Role::Service, member(instance)));
    }
    assert_eq!(instances(&owner.choose().forward), ["a", "b", "c", "d"]);
}

#[test]
fn the_newer_of_two_with_one_id_stays() {
    let mut newer = service("e", "a");
    newer.ttl_seconds = 7;
    let mut owner = At::of(Role::Service, [member("a")]);
    for _ in 0..2 {
        assert!(owner.insert(Role::Service, Member(Arc::new(newer.clone()))));
        assert_eq!(owner.choose().forward, [&newer]);
        owner.insert(Role::Service, member("b"));
        owner.insert(Role::Service, member("a"));
        assert_eq!(owner.choose().forward.len(), 2);
        assert!(owner.remove(Role::Service, &member("b")));
    }
}

#[test]
fn the_grammar_goes_before_short_names_and_reverse_stands_apart() {
    let mut owner = At::of(Role::Container, [member("s")]);
    owner.insert(Role::Reverse, member("r"));
    assert_eq!(instances(&owner.choose().forward), ["s"]);
    owner.insert(Role::Service, member("g"));
    assert_eq!(instances(&owner.choose().forward), ["g"]);
    assert_eq!(instances(&owner.choose().reverse), ["r"]);
    owner.remove(Role::Service, &member("g"));
    assert_eq!(instances(&owner.choose().forward), ["s"]);
}

#[test]
fn who_is_not_there_cannot_leave_and_the_last_one_ends_the_name() {
    let mut owner = At::of(Role::Service, [member("a")]);
    assert!(!owner.remove(Role::Service, &member("b")));
    assert!(!owner.remove(Role::Container, &member("a")));
    owner.insert(Role::Service, member("b"));
    assert!(!owner.remove(Role::Container, &member("a")));
    assert!(owner.remove(Role::Service, &member("a")));
    assert!(owner.remove(Role::Service, &member("b")));
    assert!(owner.0.get(&name("x")).is_none());
}

#[test]
fn behind_the_horizon_nothing_changes_a_record() {
    let called = |number: usize| format!("{number:05}");
    let mut owner = At::of(Role::Service, [member(&called(0))]);
    for number in 1..MEMBERS_MAX + 10 {
        assert!(
            owner.insert(Role::Service, member(&called(number))),
            "nothing was compiled yet"
        );
    }
    let last = called(MEMBERS_MAX - 1);
    let chosen = instances(&owner.choose().forward);
    assert_eq!((chosen.len(), chosen.last()), (MEMBERS_MAX, Some(&last)));

    assert!(!owner.insert(Role::Service, member("90000")));
    assert!(!owner.remove(Role::Service, &member("90000")));
    // One project alone there takes the name from nobody; a second one takes it from all.
    assert!(!owner.insert(Role::Service, composed("90001", "shop")));
    assert!(owner.insert(Role::Service, composed("90002", "blog")));
    assert!(owner.choose().is_contested);
    assert!(owner.remove(Role::Service, &composed("90001", "shop")));
    assert_eq!(instances(&owner.choose().forward).len(), MEMBERS_MAX);
    assert!(!owner.remove(Role::Service, &composed("90002", "blog")));
    assert!(owner.remove(Role::Service, &member(&last)));
    assert!(owner.insert(Role::Service, member("00000-and-a-half")));
    assert_eq!(instances(&owner.choose().forward).len(), MEMBERS_MAX);
}
